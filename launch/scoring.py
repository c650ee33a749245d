"""What launch/score_demonstrations.py does: trusted and machine demonstrations, a discriminator, a
weight per window.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from launch.scored_data import require_machine_demonstrations
from robot.data.scores import scores_path
from robot.envs.make import ImageSize
from robot.envs.registry import check_scene
from robot.envs.render import require_gl
from robot.envs.robots import check_robot
from robot.experiment.checks import check_judge, check_weightings
from robot.experiment.config import Data, Wandb
from robot.experiment.datasets import Datasets, collect_scenes, shares_of
from robot.experiment.demonstration_quality import (
    DemonstrationQuality,
    measure,
    read_verdicts,
    show_extremes,
    weight_figure,
)
from robot.experiment.jobs import StageId, run_stages
from robot.experiment.stages import judging_stage
from robot.perception.head.base import Head
from robot.system.command import run_folder, write_results
from robot.system.parse import Count, Seed, options, parse
from robot.system.progress import Bars
from robot.train.demonstration_discriminator import JudgeTraining, Judging
from robot.train.log import check_mode


@options
class Scoring:
    """configs/score_demonstrations.yaml."""

    task: str
    robot: str
    scene: str
    image_size: ImageSize
    seed: Seed
    workers: Count
    wandb: Wandb
    data: Data
    judge: Judging


def scoring(config: DictConfig) -> Work:
    """Return the scoring that a config describes, checked."""
    asked = parse_scoring(OmegaConf.to_container(config, resolve=True))
    return partial(score, asked, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def score(scoring: Scoring, *, config_yaml: str) -> None:
    """Collect, train and score; results.json is the last line on stdout."""
    shares = shares_of(scoring.data, [[scoring.scene]])
    judge_id = StageId("judge")
    with run_folder("score-demonstrations", config_yaml=config_yaml) as run:
        with Bars() as progress:
            stores = collect_scenes(
                scoring.data,
                robot=scoring.robot,
                task=scoring.task,
                shares=shares,
                image_size=scoring.image_size,
                workers=scoring.workers,
                progress=progress,
            )
            selections = Datasets(stores, None).selections(shares)
            stage = judging_stage(
                judge_id,
                JudgeTraining(demonstrations=selections, judging=scoring.judge, seed=scoring.seed),
                root=scoring.data.root,
                wandb_mode=scoring.wandb,
            )
            trained = run_stages([stage], workers=1, progress=progress)
        scores = trained.checkpoints[judge_id].stem
        verdicts = read_verdicts(selections, scores=scores)
        quality = measure(verdicts)
        (run / "weights.svg").write_text(weight_figure(verdicts).svg)
        worst, best = show_extremes(run, verdicts)
        Console().print(table(quality))
        results = {
            "quality": quality,
            "scores": [scores_path(selection.root, scores) for selection in selections],
            "pictures": [run / "weights.svg", worst, best],
            "stage_s": {str(k): seconds for k, seconds in trained.seconds.items()},
            "seed": scoring.seed,
        }
        write_results(run, results)


def parse_scoring(values: Any) -> Scoring:
    """Parse the config; raise InputError for what cannot work."""
    judge = {name: value for name, value in values["judge"].items() if name != "horizon"}
    judge["head"] = Head.resolve(judge["head"])
    scoring = parse(Scoring, values | {"judge": judge})
    require_gl()
    check_robot(scoring.robot)
    check_mode(scoring.wandb)
    check_scene(scoring.task, scoring.scene)
    require_machine_demonstrations(scoring.data)
    check_judge(scoring.judge)
    check_weightings(["dwsl"], scoring.data, scoring.judge, task=scoring.task)
    return scoring


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
