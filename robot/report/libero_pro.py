"""Our numbers beside those that are published for LIBERO-PRO's perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml
from rich.table import Table

from robot.report.headline import interval, percent
from robot.report.statistics import Cell, wilson95

OFFICIAL = "official"
DIFFERS = (
    "Published: billions of parameters, fine-tuned on LIBERO's human demonstrations, 500 episodes "
    "a cell. Ours: small policies, trained on a scripted expert's demonstrations in the suite's "
    "base scenes; a masked arm's head also on labelled frames of scenes of our own making; "
    "episodes as counted in brackets."
)


@cache
def published() -> dict[str, Any]:
    """Return libero_pro.yaml."""
    return yaml.safe_load(resources.files("robot.report").joinpath("libero_pro.yaml").read_text())


def suites_of(cells: Sequence[Cell]) -> list[str]:
    """Return the suites with published figures that some of the cells are of."""
    found = dict.fromkeys(cell.task.partition("-")[0] for cell in cells)
    return [suite for suite in published()["suites"] if suite in found]


def pooled(cells: Sequence[Cell], *, suite: str) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return (successes, episodes) of a suite's cells by arm and scene."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for cell in cells:
        if cell.task.partition("-")[0] == suite:
            successes, episodes = counts.get((cell.arm, cell.scene), (0, 0))
            counts[cell.arm, cell.scene] = (successes + cell.successes, episodes + cell.episodes)
    return counts


def libero_pro_table(cells: Sequence[Cell], *, suite: str) -> Table:
    """Return a table for people at a terminal: published models and our arms, scene by scene."""
    counts, scenes = pooled(cells, suite=suite), (OFFICIAL, *published()["scenes"])
    table = Table(
        title=f"LIBERO-PRO, {suite}: published, and ours (95% Wilson interval) [episodes]",
        title_justify="left",
        caption=DIFFERS,
    )
    table.add_column("")
    for scene in scenes:
        table.add_column(scene, justify="right")
    for model, rates in published()["suites"][suite].items():
        table.add_row(model, "–", *(percent(rate) for rate in rates))
    table.add_section()
    for arm in dict.fromkeys(arm for arm, _ in counts):
        table.add_row(arm, *(_text(counts.get((arm, scene))) for scene in scenes))
    return table


def _text(count: tuple[int, int] | None) -> str:
    """Write a rate with its interval and its number of episodes: "80% (63-91) [30]"."""
    if count is None or not count[1]:
        return "–"
    successes, episodes = count
    bounds = interval(wilson95(successes, episodes))
    return rf"{percent(successes / episodes)} ({bounds}) \[{episodes}]"
