"""`python launch/score_demonstrations.py task=pick data.quality.corrupted=0.6`: trusted and machine
demonstrations -> a weight per window.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import hydra_command
from robot.data.scores import scores_path
from robot.experiment.demonstration_quality import (
    DemonstrationQuality,
    measure,
    read_verdicts,
    show_extremes,
    weight_figure,
)
from robot.experiment.jobs import Chain, run_chains
from robot.experiment.mixture import (
    check_data,
    collect_scenes,
    demonstrations_of,
    judge_stage,
    shares_of,
)
from robot.system.command import run_directory, write_results
from robot.system.progress import Bars
from robot.types import InputError


@hydra_command("score_demonstrations")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    data, scenes, root = settings["data"], [settings["scene"]], Path(settings["data"]["root"])
    if data["quality"] is None:
        raise InputError(
            "got data without machine demonstrations, expected some to judge; pass data=mixed"
        )
    check_data(data, task=settings["task"], weightings=["dwsl"], judging=settings["judge"])
    shares = shares_of(data, [scenes])
    with Bars() as progress:
        stores = collect_scenes(
            data,
            robot=settings["robot"],
            task=settings["task"],
            shares=shares,
            image_size=settings["image_size"],
            root=root,
            workers=settings["workers"],
            progress=progress,
        )
        options: Any = {"root": root, "seed": settings["seed"], "wandb": settings["wandb"]}
        stage, scores = judge_stage(settings["judge"], stores=stores, shares=shares, **options)
        _, stage_s = run_chains([Chain([stage])], workers=1, progress=progress)
    chosen = demonstrations_of(scenes, stores=stores, shares=shares)
    verdicts = read_verdicts(chosen["demonstrations"], episodes=chosen["episodes"], scores=scores)
    quality = measure(verdicts)
    run = run_directory("score-demonstrations")
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    (run / "weights.svg").write_text(weight_figure(verdicts).svg)
    worst, best = show_extremes(run, verdicts)
    Console().print(table(quality))
    results = {
        "quality": quality,
        "scores": [scores_path(store, scores) for store in chosen["demonstrations"]],
        "pictures": [run / "weights.svg", worst, best],
        "stage_s": stage_s,
        "seed": settings["seed"],
    }
    write_results(run, results)


def table(quality: DemonstrationQuality) -> Table:
    """Return scores and weights per kind, for people."""
    title = (
        f"Held-out demonstrations: AUROC clean against corrupted {quality.auroc:.3f} "
        f"({quality.auroc_windows:.3f} by window)"
    )
    shown = Table("kind", "episodes", "mean score", "mean weight", title=title)
    for kind in quality.kinds:
        shown.add_row(
            kind.kind, str(kind.episodes), f"{kind.mean_score:.3f}", f"{kind.mean_weight:.3f}"
        )
    return shown


if __name__ == "__main__":
    main()
