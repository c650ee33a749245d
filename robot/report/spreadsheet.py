"""Cells and differences as CSV, for spreadsheets and plots of one's own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robot.report.statistics import Cell, Difference


def write_cells(path: Path, cells: Sequence[Cell]) -> Path:
    """Write one row per cell: what was run, its rates in [0, 1] with the Wilson interval, times in
    milliseconds.
    """
    return _write(path, [_cell(cell) for cell in cells])


def write_differences(path: Path, differences: Sequence[Difference]) -> Path:
    """Write one row per comparison: rates and their difference in [-1, 1] with its interval, and
    McNemar's p.
    """
    return _write(path, [_difference(difference) for difference in differences])


def _cell(cell: Cell) -> dict[str, Any]:
    low, high = cell.wilson95
    return {
        "arm": cell.arm,
        "task": cell.task,
        "scene": cell.scene,
        "training_seeds": _listed(cell.seeds),
        "episodes": cell.episodes,
        "no_verdict": cell.no_verdict,
        "successes": cell.successes,
        "success_rate": cell.success_rate,
        "wilson95_low": low if cell.episodes else None,
        "wilson95_high": high if cell.episodes else None,
        "success_rate_by_seed": _listed(cell.success_rate_by_seed),
        "wrong_object_rate": cell.wrong_object_rate,
        "took_nothing_rate": cell.took_nothing_rate,
        "mean_iou": cell.mean_iou,
        "p50_ms": cell.p50_ms,
        "p99_ms": cell.p99_ms,
    }


def _difference(difference: Difference) -> dict[str, Any]:
    record = asdict(difference)
    low, high = record.pop("interval95")
    return record | {"interval95_low": low, "interval95_high": high}


def _listed(values: Sequence[float | None]) -> str:
    return " ".join("-" if value is None else f"{value:g}" for value in values)


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    return path
