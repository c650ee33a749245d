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
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions
from robot.envs.registry import check_scene
from robot.experiment.checks import check_scoring, check_weightings
from robot.experiment.collect import check_recorded
from robot.experiment.config import Data, Wandb
from robot.experiment.datasets import Datasets, Lot, collect_scenes, shares_of
from robot.experiment.demonstration_quality import (
    DemonstrationQuality,
    measure,
    read_scored,
    show_extremes,
    weight_figure,
)
from robot.experiment.jobs import StageId, run_stages
from robot.experiment.stages import demonstration_scoring
from robot.perception.head.base import Head
from robot.system.command import run_folder, write_results
from robot.system.parse import Count, Seed, options, parse
from robot.system.progress import Bars
from robot.train.demonstration_discriminator import DemonstrationScoring, Scoring
from robot.train.log import check_mode


@options
class ScoringJob:
    """configs/score_demonstrations.yaml."""

    task: str
    env: EnvOptions
    scene: str
    seed: Seed
    workers: Count
    wandb: Wandb
    data: Data
    scoring: Scoring


def scoring(config: DictConfig) -> Work:
    """Return the scoring that a config describes, checked."""
    job = parse_scoring(OmegaConf.to_container(config, resolve=True))
    return partial(score, job, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def score(job: ScoringJob, *, config_yaml: str) -> None:
    """Collect, train and score; results.json is the last line on stdout."""
    shares = shares_of(job.data, [Lot([job.scene])])
    identity = StageId("demonstration discriminator")
    with run_folder("score-demonstrations", config_yaml=config_yaml) as run:
        with Bars() as progress:
            stores = collect_scenes(
                job.data,
                robot=job.env.robot,
                backend=job.env.backend,
                task=job.task,
                shares=shares,
                image_size=job.env.image_size,
                workers=job.workers,
                progress=progress,
            )
            selections = Datasets(stores, None).selections(shares)
            stage = demonstration_scoring(
                identity,
                DemonstrationScoring(demonstrations=selections, scoring=job.scoring, seed=job.seed),
                root=job.data.root,
                wandb_mode=job.wandb,
            )
            trained = run_stages([stage], workers=1, progress=progress)
        scores = trained.checkpoints[identity].stem
        scored = read_scored(selections, scores=scores)
        quality = measure(scored)
        (run / "weights.svg").write_text(weight_figure(scored).svg)
        worst, best = show_extremes(run, scored)
        Console().print(table(quality))
        results = {
            "quality": quality,
            "scores": [scores_path(selection.root, scores) for selection in selections],
            "pictures": [run / "weights.svg", worst, best],
            "stage_s": {str(k): seconds for k, seconds in trained.seconds.items()},
            "seed": job.seed,
        }
        write_results(run, results)


def parse_scoring(values: Any) -> ScoringJob:
    """Parse the config; raise InputError for what cannot work."""
    section = {name: value for name, value in values["scoring"].items() if name != "horizon"}
    section["head"] = Head.resolve(section["head"])
    job = parse(ScoringJob, values | {"scoring": section})
    require_gl()
    check_recorded(job.env)
    check_mode(job.wandb)
    check_scene(job.task, job.scene)
    require_machine_demonstrations(job.data)
    check_scoring(job.scoring)
    check_weightings(["dwsl"], job.data, job.scoring, task=job.task)
    return job


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
