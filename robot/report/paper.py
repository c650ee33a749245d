"""Our numbers beside those of the IVM paper's robot table. Theirs are of a real WidowX, ours of a
simulated Panda.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from rich.table import Table

from robot.report.headline import interval, percent
from robot.report.statistics import Cell, wilson95

AVERAGE = "average"


@dataclass(frozen=True)
class Beside:
    """One number of the paper and ours; `ours` is None where the cell was not run. Rates are in [0,
    1].
    """

    task: str
    scene: str
    arm: str
    paper: float
    ours: float | None
    wilson95: tuple[float, float] | None
    episodes: int


@cache
def paper() -> dict[str, Any]:
    """Return ivm_paper.yaml."""
    return yaml.safe_load(resources.files("robot.report").joinpath("ivm_paper.yaml").read_text())


def beside_paper(cells: Sequence[Cell]) -> tuple[Beside, ...]:
    """Return the paper's table with our cells beside it; empty where we ran none of its tasks.

    Our average pools the episodes of those of the four tasks that were run; its interval treats
    them as one sample.
    """
    found = {
        (cell.task, cell.scene, cell.arm): cell for cell in cells if cell.task in paper()["tasks"]
    }
    if not found:
        return ()
    rows = [
        _beside(task, scene, arm, rate, [cell for cell in [found.get((task, scene, arm))] if cell])
        for task, rates in paper()["tasks"].items()
        for (scene, arm), rate in zip(paper()["columns"], rates, strict=True)
    ]
    averages = [
        _beside(
            AVERAGE,
            scene,
            arm,
            rate,
            [cell for (_, s, a), cell in found.items() if (s, a) == (scene, arm)],
        )
        for (scene, arm), rate in zip(paper()["columns"], paper()["average"], strict=True)
    ]
    return (*rows, *averages)


def _beside(task: str, scene: str, arm: str, theirs: float, cells: Sequence[Cell]) -> Beside:
    episodes, successes = sum(c.episodes for c in cells), sum(c.successes for c in cells)
    rate, bounds = (
        (successes / episodes, wilson95(successes, episodes)) if episodes else (None, None)
    )
    return Beside(task, scene, arm, theirs, rate, bounds, episodes)


def paper_table(rows: Sequence[Beside]) -> Table:
    """Return the table for people at a terminal: "paper / ours (interval)" per task,
    scene and arm.
    """
    table = Table(
        title="The IVM paper's robot table: theirs / ours (95% Wilson interval)",
        title_justify="left",
        caption=f"Theirs: real WidowX, {paper()['episodes']} episodes a cell, read from bars. "
        "Ours: simulated Panda.",
    )
    table.add_column("task")
    for scene, arm in paper()["columns"]:
        table.add_column(f"{scene}, {arm}", justify="right")
    for task in dict.fromkeys(row.task for row in rows):
        if task == AVERAGE:
            table.add_section()
        table.add_row(task, *(text_of(row) for row in rows if row.task == task))
    return table


def text_of(row: Beside) -> str:
    """Write both numbers: "15% / 12% (8-17)"."""
    if row.ours is None or row.wilson95 is None:
        return f"{percent(row.paper)} / –"
    return f"{percent(row.paper)} / {percent(row.ours)} ({interval(row.wilson95)})"
