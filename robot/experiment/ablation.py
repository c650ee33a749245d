"""An ablation: arms x training seeds x tasks x scenes, planned from a config, written as CSV, JSON,
a figure and a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from robot.experiment.evaluate import Arm
from robot.experiment.recipe import Recipe, recipes_of
from robot.experiment.stages import HEAD
from robot.perception.registry import make_fault
from robot.perception.sources import NoMask
from robot.report.figures import learning_curves, success_figure
from robot.report.html import write_report
from robot.report.paper import Beside, beside_paper
from robot.report.provenance import gather
from robot.report.spreadsheet import write_cells, write_differences
from robot.report.statistics import (
    Cell,
    Difference,
    EpisodeResult,
    compare,
    summarise,
    write_episodes,
)
from robot.types import InputError

# What an arm may say of its training,
TRAINED = {"perception", "scenes", "steps", "augment", "deployment", "weighting", "policy"}
ACTING = {"policy_of", "faults", "mask_period"}  # and of how it acts


@dataclass(frozen=True)
class Contender:
    """An arm of the ablation: what is trained, and what is changed when it acts (`faults`,
    `mask_period`).
    """

    name: str
    recipe: Recipe
    faults: tuple[Mapping[str, Any], ...] = ()
    mask_period: int = 1


@dataclass(frozen=True)
class Findings:
    """What an ablation found, in numbers."""

    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    beside: tuple[Beside, ...]


def contenders_of(config: Mapping[str, Any]) -> list[Contender]:
    """Return the arms that `compare` names, in its order, or refuse what does not fit together."""
    arms, chosen = config["arms"], list(config["compare"])
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(
            f"got compare={chosen}, expected each arm once and at least one; choose from "
            f"{', '.join(arms)}"
        )
    for name in chosen:
        _known(name, arms)
    return [_contender(name, config) for name in chosen]


def _known(name: str, arms: Mapping[str, Any]) -> None:
    if name not in arms:
        raise InputError(
            f"got arm {name!r}, expected one of {', '.join(arms)}; correct compare, or add "
            f"arms.{name}"
        )
    if unknown := sorted(set(arms[name]) - TRAINED - ACTING):
        expected = ", ".join(sorted(TRAINED | ACTING))
        raise InputError(
            f"got {', '.join(unknown)} for arm {name}, expected {expected}; correct the name"
        )


def _contender(name: str, config: Mapping[str, Any]) -> Contender:
    arm = config["arms"][name]
    source = arm.get("policy_of", name)
    _known(source, config["arms"])
    trained = config["arms"][source]
    if source != name and (both := sorted(set(arm) & TRAINED)):
        raise InputError(
            f"got {', '.join(both)} for arm {name} beside policy_of={source}, expected one of the "
            "two; drop one"
        )
    recipe = recipes_of({**config, "arms": {source: trained}})[0]
    faults = tuple(arm.get("faults") or ())
    if faults and recipe.perception == "none":
        raise InputError(
            f"got faults for arm {name}, which has no masks; expected perception learned or "
            "oracle; drop the faults"
        )
    for fault in faults:  # made once, to refuse what cannot be
        make_fault(**fault, source=NoMask(), labels=dict, rng=np.random.default_rng(0))
    return Contender(name, recipe, faults, arm.get("mask_period", 1))


def recipes_to_train(contenders: Sequence[Contender]) -> list[Recipe]:
    """Return each recipe once, in order: an arm with broken masks acts with a policy that another
    was trained for.
    """
    return list({contender.recipe.name: contender.recipe for contender in contenders}.values())


def suffix_of(seed: int, *, seeds: Sequence[int]) -> str:
    """Return what sets the stages of one training seed apart: nothing where there is only one."""
    return f" seed {seed}" if len(seeds) > 1 else ""


def arms_of(
    contenders: Sequence[Contender],
    *,
    checkpoints: Mapping[str, Path],
    seeds: Sequence[int],
    head: Path | None,
) -> list[Arm]:
    """Return every contender under every training seed, ready to act; `checkpoints` are
    by stage.
    """
    return [
        Arm(
            name=contender.name,
            policy=checkpoints[f"policy {contender.recipe.name}{suffix_of(seed, seeds=seeds)}"],
            perception=contender.recipe.perception,
            head=_head(contender, checkpoints, head, suffix=suffix_of(seed, seeds=seeds)),
            deployment=contender.recipe.deployment,
            training_seed=seed,
            mask_period=contender.mask_period,
            faults=contender.faults,
        )
        for contender in contenders
        for seed in seeds
    ]


def _head(
    contender: Contender, checkpoints: Mapping[str, Path], head: Path | None, *, suffix: str
) -> Path | None:
    if contender.recipe.perception != "learned":
        return None
    return head or checkpoints[f"{HEAD}{suffix}"]


def find(results: Sequence[EpisodeResult], *, arm: str) -> Findings:
    """Return cells, paired differences of `arm` to every other, and the paper's numbers beside
    ours.
    """
    several = len({result.task for result in results}) > 1
    single = summarise(results)
    pooled = summarise(results, pool_tasks=True) if several else ()
    differences = compare(results, arm=arm) if len({result.arm for result in results}) > 1 else ()
    return Findings(cells=(*pooled, *single), differences=differences, beside=beside_paper(single))


def write(
    run: Path,
    results: Sequence[EpisodeResult],
    *,
    title: str,
    summary: str,
    arm: str,
    headline_scene: str | None,
    logs: Mapping[str, Path],
    config_yaml: str,
    stage_s: Mapping[str, float],
    trained_s: Mapping[str, float] | None = None,
    made_at: Mapping[str, Sequence[str]] | None = None,
    seeds: str,
) -> Findings:
    """Write episodes.jsonl, cells.csv, differences.csv, success.svg and report.html into `run`;
    return what they say.
    """
    found = find(results, arm=arm)
    arms = list(dict.fromkeys(cell.arm for cell in found.cells))
    figure = success_figure([cell for cell in found.cells if cell.task == found.cells[0].task])
    write_episodes(run / "episodes.jsonl", results)
    write_cells(run / "cells.csv", found.cells)
    write_differences(run / "differences.csv", found.differences)
    (run / "success.svg").write_text(figure.svg, encoding="utf-8")
    write_report(
        run / "report.html",
        title=title,
        summary=summary,
        cells=found.cells,
        figures=[
            figure,
            *([learning_curves(logs, arms=arms)] if logs else []),
        ],
        strips=(),
        videos=(),
        masks=(),
        config_yaml=config_yaml,
        provenance=gather(
            seeds=seeds, stage_s=stage_s, trained_s=trained_s, made_at=made_at, now=datetime.now()
        ),
        comparisons=found.differences,
        arm=arm,
        headline_scene=headline_scene,
        beside=found.beside,
    )
    return found
