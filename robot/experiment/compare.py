"""The whole job: demonstrations -> mask head -> policies -> evaluation -> report, for some arms.

What is there already is reused, what was cut off goes on: run it again after a kill.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from robot.checkpoint import read_header
from robot.experiment.arms import Arm, arms_of, trained_arms
from robot.experiment.cells import Cell, Entrant, cells_of, evaluate_cells, revision_of
from robot.experiment.checks import check
from robot.experiment.config import Common, common_of
from robot.experiment.datasets import collect, measures_masks
from robot.experiment.jobs import Stage, Trained, Watch, run_stages
from robot.experiment.levelling import chance_line, unequal
from robot.experiment.mask_quality import measure_masks
from robot.experiment.report import Findings, Story, report_to_wandb, write
from robot.experiment.stages import head_id, policy_id, stages_of
from robot.perception.head.base import Head
from robot.report.html import MaskQuality
from robot.rollout.act import Protocol
from robot.rollout.agents import AgentSpec
from robot.system.progress import Bars, bar

Published = Mapping[str, Mapping[int, Path]]  # arm -> training seed -> folder of its agent


@dataclass(frozen=True)
class Comparison:
    """`arms` are compared, the first under test; `trained` are those that policies are trained
    for.
    """

    arms: tuple[Arm, ...]
    trained: tuple[Arm, ...]
    common: Common

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Comparison:
        """Parse a command's resolved config; InputError for what cannot work."""
        arms, common = arms_of(config), common_of(config)
        found = cls(tuple(arms), tuple(trained_arms(arms, config)), common)
        check(found.trained, common)
        return found


@dataclass(frozen=True)
class Compared:
    """What a comparison found, what it made, and the seconds that every part of it took."""

    findings: Findings
    checkpoints: Published
    stage_s: Mapping[str, float]


def compare(comparison: Comparison, *, run: Path, config_yaml: str) -> Compared:
    """Do the whole job and write its report into `run`."""
    common, watch = comparison.common, Watch()
    with watch("collect"):
        datasets = collect(comparison.trained, common)
    stages = stages_of(comparison.trained, common, datasets)
    with watch("train"), Bars() as progress:
        trained = run_stages(stages, workers=common.workers, progress=progress)
    cells = plan_cells(comparison, trained)
    with watch("evaluate"), bar("evaluate") as moved:
        evaluated = evaluate_cells(
            cells,
            protocol=protocol_of(common),
            episodes=common.evaluation.episodes,
            keep=common.evaluation.keep,
            workers=common.workers,
            progress=moved,
        )
    with watch("measure masks"):
        masks = measure_head(comparison, trained)
    story = story_of(
        comparison, stages, cells, trained, config_yaml=config_yaml, stage_s=watch.stage_s
    )
    findings = write(run, evaluated, story=story, masks=masks)
    report_to_wandb(
        findings, run=run, name=common.name, mode=common.wandb, config=asdict(comparison)
    )
    return Compared(
        findings=findings,
        checkpoints=publish(comparison, trained, run=run),
        stage_s=watch.stage_s | {str(k): seconds for k, seconds in trained.seconds.items()},
    )


def plan_cells(comparison: Comparison, trained: Trained) -> list[Cell]:
    """Return every arm under every training seed on every task in every scene."""
    common = comparison.common
    entrants = [
        Entrant(arm.name, seed, agent_of(arm, common, trained, seed=seed))
        for arm in comparison.arms
        for seed in common.seeds
    ]
    return cells_of(
        entrants,
        tasks=common.evaluation.tasks,
        scenes=common.evaluation.scenes,
        protocol=protocol_of(common),
        episodes=common.evaluation.episodes,
        root=common.data.root / "cells",
    )


def agent_of(arm: Arm, common: Common, trained: Trained, *, seed: int) -> AgentSpec:
    """Return what an arm acts with."""
    learned = arm.perception == "learned"
    return AgentSpec(
        policy=trained.checkpoints[policy_id(arm, common, seed=seed)],
        perception=arm.perception,
        head=_head(common, trained, seed=seed, arm=arm) if learned else None,
        deployment=arm.deployment,
        mask_period=arm.mask_period,
        faults=arm.faults,
    )


def _head(common: Common, trained: Trained, *, seed: int, arm: Arm | None = None) -> Path:
    """Return the mask head of an arm, or that which arms share."""
    given = None if arm is not None and arm.own_head else common.head
    return given or trained.checkpoints[head_id(common, seed=seed, arm=arm)]


def protocol_of(common: Common) -> Protocol:
    """Return how every episode is run."""
    evaluation = common.evaluation
    return Protocol(
        seed=evaluation.seed,
        execute=evaluation.execute,
        ensemble_decay=evaluation.ensemble_decay,
        env=common.env,
    )


def measure_head(comparison: Comparison, trained: Trained) -> list[MaskQuality]:
    """Measure the mask head that arms see through, the first seed's or the given one, scene by
    scene, on scenes of the evaluation's seed.
    """
    common, evaluation = comparison.common, comparison.common.evaluation
    if not measures_masks(comparison.trained, common):
        return []
    with bar("measure masks") as moved:
        measured = measure_masks(
            Head.load(_head(common, trained, seed=common.seeds[0])),
            root=common.data.root / "mask_frames",
            tasks=[common.task],
            scenes=evaluation.mask_scenes,
            scenes_each=evaluation.mask_scenes_each,
            seed=evaluation.seed,
            robot=common.env.robot,
            backend=common.env.backend,
            image_size=common.env.image_size,
            workers=common.workers,
            progress=moved,
        )
    return [m.quality for m in measured]


def publish(comparison: Comparison, trained: Trained, *, run: Path) -> Published:
    """Copy every policy into the run, with its mask head where it sees through one; return the
    folders by arm and training seed.

    They are `<run>/<arm>/` for a single seed, `<run>/<arm>/<seed>/` for several.
    """
    common = comparison.common
    several = len(common.seeds) > 1
    folders: dict[str, dict[int, Path]] = {arm.name: {} for arm in comparison.trained}
    for arm, seed in product(comparison.trained, common.seeds):
        agent = agent_of(arm, common, trained, seed=seed)
        folder = run / arm.name / (str(seed) if several else "")
        folder.mkdir(parents=True)
        _copy(agent.policy, folder / "model")
        if agent.head is not None:
            _copy(agent.head, folder / "mask_head")
        folders[arm.name][seed] = folder
    return folders


def _copy(checkpoint: Path, stem: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy2(checkpoint.with_suffix(suffix), stem.with_suffix(suffix))


def story_of(
    comparison: Comparison,
    stages: Sequence[Stage],
    cells: Sequence[Cell],
    trained: Trained,
    *,
    config_yaml: str,
    stage_s: Mapping[str, float],
) -> Story:
    """Return what the report says besides numbers."""
    common, evaluation = comparison.common, comparison.common.evaluation
    first, *others = [arm.name for arm in comparison.arms]
    seeds = ", ".join(map(str, common.seeds))
    return Story(
        title=f"{common.task}: {first}" + (f" against {', '.join(others)}" if others else ""),
        summary=summary_of(comparison),
        unequal=unequal(comparison.arms, common),
        chance=chance_line(common),
        seeds=f"training {seeds}, data {common.data.seed}, evaluation {evaluation.seed}",
        arm=first,
        config_yaml=config_yaml,
        look_dt_s=evaluation.execute * common.env.control_dt_s,
        baselines=[arm.name for arm in comparison.arms if arm.perception == "none"],
        headline_scene=evaluation.headline,
        logs={str(stage.id): stage.log for stage in stages},
        stage_s=stage_s,
        trained_s={str(k): seconds for k, seconds in trained.seconds.items()},
        made_at=made_at(list(trained.checkpoints.values()), cells),
    )


def summary_of(comparison: Comparison) -> str:
    common, evaluation = comparison.common, comparison.common.evaluation
    counts = {
        "Arms": len(comparison.arms),
        "demonstrations": sum(common.data.tiers),
        "training seeds": len(common.seeds),
        "tasks": len(evaluation.tasks),
        "scenes": len(evaluation.scenes),
        "episodes per cell": evaluation.episodes,
    }
    numbers = "; ".join(f"{name}: {count}" for name, count in counts.items())
    return f"{numbers}. All arms start from the same initial states."


def made_at(checkpoints: Sequence[Path], cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Return the revisions of the code that trained and that evaluated, as either may be reused."""
    trained = {
        read_header(file).get("git_revision", "unknown")
        for file in checkpoints
        if file.suffix == ".safetensors"
    }
    return {
        "Trained": _short(trained),
        "Evaluated": _short({revision_of(cell.file) for cell in cells}),
    }


def _short(revisions: set[str]) -> list[str]:
    return sorted({revision[:12] for revision in revisions})
