"""The success table for people at a terminal: scenes down, arms across, each rate with its
interval.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from robot.report.headline import interval, no_verdict, percent
from robot.report.statistics import Cell, wilson95


def success_table(cells: Sequence[Cell], *, title: str = "Success, 95% Wilson interval") -> Table:
    """Return a rich table: one row per (task, scene), one column per arm."""
    arms, rows = arms_of(cells), rows_of(cells)
    found = {(cell.task, cell.scene, cell.arm): cell for cell in cells}
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        caption=_caption(cells),
    )
    table.add_column("task")
    table.add_column("scene")
    for arm in arms:
        table.add_column(arm, justify="right")
    previous = None
    for task, scene in rows:
        of_row = [found[task, scene, arm] for arm in arms if (task, scene, arm) in found]
        rates = [cell.success_rate for cell in of_row if cell.success_rate is not None]
        best = max(rates, default=None)
        texts = [_text(found.get((task, scene, arm)), best=best) for arm in arms]
        if previous not in (None, task):
            table.add_section()
        table.add_row("" if previous == task else task, scene, *texts)
        previous = task
    return table


def arms_of(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return the arms in the order of first appearance."""
    return tuple(dict.fromkeys(cell.arm for cell in cells))


def rows_of(cells: Sequence[Cell]) -> tuple[tuple[str, str], ...]:
    """Return the (task, scene) pairs, tasks together, both in the order of first appearance."""
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    return tuple(
        sorted(
            dict.fromkeys((cell.task, cell.scene) for cell in cells),
            key=lambda row: tasks.index(row[0]),
        )
    )


def episodes_of(cells: Sequence[Cell]) -> str:
    """Return how many episodes a cell has: "1 episode", "100 episodes", or "50–100 episodes" where
    they differ.
    """
    counts = sorted({cell.episodes + cell.no_verdict for cell in cells}) or [0]
    number = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"{number} episode{'' if number == '1' else 's'}"


def seeds_of(cells: Sequence[Cell]) -> str:
    """List the training seeds over all cells."""
    return (
        ", ".join(str(seed) for seed in sorted({seed for cell in cells for seed in cell.seeds}))
        or "none"
    )


def took_nothing(cell: Cell) -> str | None:
    """Write the share of episodes in which the hand took no object, with its interval; None where
    nobody looked.
    """
    if cell.took_nothing is None or cell.took_nothing_rate is None:
        return None
    return (
        f"{percent(cell.took_nothing_rate)} "
        f"({interval(wilson95(cell.took_nothing, cell.episodes))})"
    )


def _text(cell: Cell | None, *, best: float | None) -> str:
    if cell is None:
        return "–"
    if nothing := took_nothing(cell):
        return f"took nothing {nothing}"
    untold = no_verdict(cell)
    if cell.success_rate is None:
        return untold
    text = f"{percent(cell.success_rate)} [dim]({interval(cell.wilson95)})[/dim]"
    text = f"[bold]{text}[/bold]" if cell.success_rate == best else text
    return f"{text}, {untold}" if untold else text


def _caption(cells: Sequence[Cell]) -> str:
    return f"{episodes_of(cells)} a cell; training seeds {seeds_of(cells)}"
