"""The report: one HTML file that needs nothing beside it, and says what the numbers say.

Everything from outside is escaped; the page's own policy (CSP) forbids loading anything, so that it
stays self-contained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from robot.report.figures import Figure
from robot.report.headline import (
    caveats,
    differences_from_cells,
    headline,
    interval,
    no_verdict,
    opponents,
    percent,
    points,
    pooled,
    scoreboard,
)
from robot.report.paper import Beside, paper, text_of
from robot.report.provenance import Provenance
from robot.report.statistics import Cell, Difference
from robot.report.table import arms_of, episodes_of, rows_of, seeds_of, took_nothing
from robot.types import InputError

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Exhibit:
    """One picture or video of one condition: `uri` is a data URI; `success` is None where there is
    nothing to succeed at.
    """

    scene: str
    uri: str
    caption: str = ""
    arm: str = ""
    success: bool | None = None


@dataclass(frozen=True)
class MaskQuality:
    """The mask head in one condition, on held-out scenes; rates in [0, 1], None means not measured.

    `mean_iou` is over the frames that show the target, None where none does, as in "absent".
    `absent_recognised` is the share of frames without the target that say so; `false_alarms` the
    share of frames with it that say it is absent.
    """

    scene: str
    frames: int
    mean_iou: float | None
    absent_recognised: float | None = None
    false_alarms: float | None = None
    p50_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a report shows.

    `summary` is what was run and why, in the caller's words; the sentences with numbers are made
    here, from `cells`; `unequal` comes first: what the arms did not have alike. `chance` is what
    ignoring the sentence is worth. Of the `figures` the first is shown with the success table, the
    others under "Learning". `comparisons` are those of `statistics.compare`; without them cells are
    compared as independent. `arm` is the arm under test, by default that of the first cell;
    `headline_scene` the condition of the headline, to be fixed before the results are seen, by
    default the first. `beside` are the published numbers beside ours (`paper.beside_paper`),
    `baselines` the arms without masks, of which the strongest is what claims are made against, and
    `failures` show episodes that failed, whatever their condition.
    """

    title: str
    summary: str
    cells: Sequence[Cell]
    figures: Sequence[Figure]
    strips: Sequence[Exhibit]
    videos: Sequence[Exhibit]
    masks: Sequence[Exhibit]
    config_yaml: str
    provenance: Provenance
    comparisons: Sequence[Difference] = ()
    mask_quality: Sequence[MaskQuality] = ()
    unequal: str = ""
    chance: str = ""
    arm: str | None = None
    headline_scene: str | None = None
    beside: Sequence[Beside] = ()
    baselines: Sequence[str] = ()
    failures: Sequence[Exhibit] = ()

    def __post_init__(self) -> None:
        if not self.cells:
            raise InputError(
                "got no evaluation cells, expected at least one; evaluate some episodes before "
                "writing the report"
            )


def write_report(path: Path, page: Page) -> Path:
    """Write report.html and return its path."""
    shown = _claims(page) | _tables(page) | _pictures(page)
    text = _template().render(page=page, **shown)
    path.write_text(text, encoding="utf-8")
    return path


def _claims(page: Page) -> dict[str, Any]:
    """Return what the numbers say in words, and the success table that shows it."""
    cells, arm = page.cells, page.arm or page.cells[0].arm
    scene = page.headline_scene or cells[0].scene
    differences = tuple(page.comparisons) or differences_from_cells(cells, arm=arm)
    rivals, opponent = opponents(differences, baselines=page.baselines)
    return {
        "headline": headline(cells, differences, arm=arm, scene=scene, baselines=page.baselines),
        "scoreboard": scoreboard(differences, arm=arm, baselines=page.baselines),
        "opponent": opponent,
        "caveats": caveats(cells, differences, arm=arm),
        "groups": _groups(cells, rivals, arm=arm),
        "differences": [_difference(d) for d in differences],
    }


def _tables(page: Page) -> dict[str, Any]:
    """Return the other tables and counts."""
    tasks = dict.fromkeys(row.task for row in page.beside)
    return {
        "arms": arms_of(page.cells),
        "episodes": episodes_of(pooled(page.cells)),
        "seeds": seeds_of(page.cells),
        "latencies": _latencies(page.cells),
        "paper": [
            (task, [text_of(row) for row in page.beside if row.task == task]) for task in tasks
        ],
        "paper_columns": [f"{scene}, {name}" for scene, name in paper()["columns"]],
    }


def _pictures(page: Page) -> dict[str, Any]:
    """Return figures, and exhibits by the condition that they show."""
    return {
        "figure": page.figures[0] if page.figures else None,
        "curves": page.figures[1:],
        "masks": _by_scene(page.masks),
        "failures": _by_scene(page.failures),
        "conditions": _conditions(page.videos, page.strips),
    }


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration}
    return environment.get_template(TEMPLATE)


def duration(seconds: float) -> str:
    """Write a wall time for people: "42 s", "12 min 05 s", "1 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _groups(
    cells: Sequence[Cell], differences: Sequence[Difference], *, arm: str
) -> list[dict[str, Any]]:
    """Return the success table: one group per task, one row per scene, one entry per arm."""
    found = {(cell.task, cell.scene, cell.arm): cell for cell in cells}
    groups: dict[str, list[dict[str, Any]]] = {}
    for task, scene in rows_of(cells):
        entries = [found.get((task, scene, name)) for name in arms_of(cells)]
        rivals = [d for d in differences if (d.arm, d.task, d.scene) == (arm, task, scene)]
        rival = max(rivals, key=lambda d: d.baseline_rate) if rivals else None
        row = {
            "scene": scene,
            "cells": [_entry(cell) if cell else None for cell in entries],
            "rival": _difference(rival) if rival else None,
        }
        groups.setdefault(task, []).append(row)
    return [{"task": task, "rows": rows} for task, rows in groups.items()]


def _entry(cell: Cell) -> dict[str, Any]:
    low, high = cell.wilson95
    return {
        "rate": percent(cell.success_rate) if cell.episodes else None,
        "no_verdict": no_verdict(cell),
        "interval": interval(cell.wilson95),
        "low": f"{100 * low:.1f}",
        "width": f"{100 * (high - low):.1f}",
        "at": f"{100 * (cell.success_rate or 0):.1f}",
        "episodes": cell.episodes,
        "by_seed": [percent(rate) for rate in cell.success_rate_by_seed]
        if len(cell.seeds) > 1
        else [],
        "wrong_object": None if cell.wrong_object_rate is None else percent(cell.wrong_object_rate),
        "took_nothing": took_nothing(cell),
    }


def _difference(d: Difference) -> dict[str, Any]:
    p = "–" if d.p_value is None else "< 0.0001" if d.p_value < 0.0001 else f"{d.p_value:.4f}"
    rates = {"ours": percent(d.arm_rate), "theirs": percent(d.baseline_rate)}
    names = {"scene": d.scene, "task": d.task, "arm": d.arm, "baseline": d.baseline}
    return (
        names | rates | {"points": points(d), "p": p, "verdict": d.verdict, "episodes": d.episodes}
    )


def _latencies(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Return per arm the slowest cell's percentiles: a controller is as good as its worst
    condition.
    """
    rows = []
    for arm in arms_of(cells):
        timed = [
            (cell.p50_ms, cell.p99_ms)
            for cell in cells
            if cell.arm == arm and cell.p50_ms is not None
        ]
        if timed:
            p50, p99 = (max(column) for column in zip(*timed, strict=True))
            rows.append({"arm": arm, "p50": f"{p50:.1f}", "p99": f"{p99:.1f}"})
    return rows


def _by_scene(exhibits: Iterable[Exhibit]) -> Mapping[str, list[Exhibit]]:
    groups: dict[str, list[Exhibit]] = {}
    for exhibit in exhibits:
        groups.setdefault(exhibit.scene, []).append(exhibit)
    return groups


def _conditions(videos: Sequence[Exhibit], strips: Sequence[Exhibit]) -> list[dict[str, Any]]:
    """Return one entry per condition with its videos and film strips, in the order of first
    appearance.
    """
    filmed, stripped = _by_scene(videos), _by_scene(strips)
    scenes = dict.fromkeys([*filmed, *stripped])
    return [
        {"scene": s, "videos": filmed.get(s, []), "strips": stripped.get(s, [])} for s in scenes
    ]
