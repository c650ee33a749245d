"""Figures as SVG text that lives inside the page, so that colours follow the reader's light or dark
mode.

Matplotlib draws with sentinel colours; `_inline` turns them into CSS: `currentColor` for ink,
`var(--arm-N)` for the arms. The palette is Okabe & Ito's (2008), which stays apart under the common
colour blindnesses; labels never rely on colour alone.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from robot.report.headline import no_verdict, percent
from robot.report.statistics import IMPOSSIBLE, Cell, read_jsonl
from robot.report.table import arms_of, rows_of

PALETTE = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#8c8c8c",
)  # Okabe-Ito; the page has brighter ones for dark
WIDE_IN, NARROW_IN = 8.6, 4.6  # widths that figures are drawn at; type keeps its size
CURVE_POINTS = (
    200  # a line that is drawn from more is noise that hides the trend, and weighs on the page
)
INK = "#010203"  # sentinel: becomes currentColor
STYLE: Any = {
    "svg.fonttype": "none",  # real text: selectable, and read aloud
    "svg.hashsalt": "robot",  # the same figure, the same bytes
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.0,
    "ytick.minor.width": 0.0,
}


@dataclass(frozen=True)
class Figure:
    """One picture with its words; `svg` is an <svg> element without scripts or outside
    references, `narrow` the same picture drawn for the width of a phone.
    """

    title: str
    svg: str
    caption: str = ""
    narrow: str = ""


def success_figure(cells: Sequence[Cell], *, title: str = "Success by condition") -> Figure:
    """Draw a bar per arm in every condition, with its Wilson interval and its value beside it.

    Scenes in which nothing can succeed are left out, unless there are no others: a bar of 0 % would
    look like a failure.
    """
    cells = [cell for cell in cells if cell.scene not in IMPOSSIBLE] or cells
    return Figure(
        title=title,
        svg=_success_svg(cells, title=title, width_in=WIDE_IN),
        caption="Bars are success rates, whiskers are 95% Wilson intervals.",
        narrow=_success_svg(cells, title=title, width_in=NARROW_IN),
    )


def _success_svg(cells: Sequence[Cell], *, title: str, width_in: float) -> str:
    arms, rows = arms_of(cells), rows_of(cells)
    columns = min(3, len(arms)) if width_in == WIDE_IN else 1
    found = {(cell.task, cell.scene, cell.arm): cell for cell in cells}
    several_tasks = len({task for task, _ in rows}) > 1
    dot = " · " if width_in == WIDE_IN else "\n"
    pitch = len(arms) + 0.9  # bars of one condition, and the gap below them
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(
            figsize=(
                width_in,
                0.6 + 0.3 * math.ceil(len(arms) / columns) + 0.2 * pitch * len(rows),
            ),
            layout="constrained",
        )
        axes = canvas.subplots()
        for row, (task, scene) in enumerate(rows):
            for place, arm in enumerate(arms):
                cell = found.get((task, scene, arm))
                if cell is not None:
                    _bar(axes, cell, y=row * pitch + place, color=_color(place))
        centres = [row * pitch + (len(arms) - 1) / 2 for row in range(len(rows))]
        axes.set_yticks(
            centres,
            [f"{task}{dot}{scene}" if several_tasks else scene for task, scene in rows],
        )
        axes.set(
            xlim=(0, 1.07 if width_in == WIDE_IN else 1.16),
            ylim=((len(rows) - 1) * pitch + len(arms) - 0.3, -0.7),
        )
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0%", "25%", "50%", "75%", "100%"])
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        patches = [Patch(color=_color(place), label=arm) for place, arm in enumerate(arms)]
        canvas.legend(
            handles=patches,
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            handlelength=0.9,
        )
        return _inline(canvas, label=f"{title}: {_spoken(cells)}")


LogLine = Mapping[str, float]  # of a log.jsonl: quantities by their names


def learning_curves(
    logs: Mapping[str, Path],
    *,
    arms: Sequence[str] = (),
    title: str = "Learning curves",
    x: str = "step",
) -> Figure:
    """Draw loss (log scale) and learning rate by step from training logs, one colour per arm, names
    at the lines' ends.

    "policy NAME" and "policy NAME seed K" have the colour that the arm NAME has among `arms`; what
    is no arm's, one of its own. `logs` maps a run's name to its log.jsonl; runs without one are
    left out. "validation_loss", where logged, is dashed.
    """
    runs = {name: _by_step(read_jsonl(path), x=x) for name, path in logs.items() if path.exists()}
    wide, narrow = (
        _curves_svg(runs, arms=arms, title=title, x=x, width_in=width_in)
        for width_in in (WIDE_IN, NARROW_IN)
    )
    return Figure(
        title=title,
        svg=wide,
        caption="Training loss on a log scale (validation dashed, where logged) and learning rate.",
        narrow=narrow,
    )


def _curves_svg(
    runs: Mapping[str, Sequence[LogLine]],
    *,
    arms: Sequence[str],
    title: str,
    x: str,
    width_in: float,
) -> str:
    wide = width_in == WIDE_IN
    with matplotlib.rc_context(STYLE):
        height_in = 4.2 if wide else 4.2 + 0.25 * len(runs)
        canvas = Canvas(figsize=(width_in, height_in), layout="constrained")
        loss, rate = canvas.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        places = {f"policy {arm}": place for place, arm in enumerate(arms)}
        for name, records in runs.items():
            color = _color(places.setdefault(name.partition(" seed ")[0], len(places)))
            _curve(loss, records, x=x, y="loss", color=color, label=name)
            _curve(loss, records, x=x, y="validation_loss", color=color, linestyle=(0, (3, 2)))
            _curve(rate, records, x=x, y="learning_rate", color=color)
        loss.set(yscale="log", ylabel="loss")
        rate.set(xlabel=x, ylabel="learning\nrate", ylim=(0, None))
        if wide:
            _name_lines(loss)
        else:  # no room beside the lines
            canvas.legend(loc="outside upper left", ncols=1, frameon=False, fontsize=9.5)
        loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        for axis in (loss.yaxis, rate.yaxis, rate.xaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        for axes in (loss, rate):
            axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        canvas.align_ylabels()
        return _inline(canvas, label=f"{title}: {', '.join(runs)}")


def histograms(rows: Mapping[str, np.ndarray], *, title: str, x: str, bins: int = 30) -> Figure:
    """Draw one histogram per row over the same bins, as shares of its row, with the row's mean and
    count beside it.
    """
    edges = np.linspace(0.0, max(float(values.max()) for values in rows.values()) or 1.0, bins + 1)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(8.6, 0.7 + 0.75 * len(rows)), layout="constrained")
        every = canvas.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(every, rows.items(), strict=True):
            axes.hist(
                values, bins=edges, weights=np.full(len(values), 1 / len(values)), color=_color(0)
            )
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            axes.set_yticks([])
            axes.axvline(float(values.mean()), color=INK, linewidth=1.0)
            axes.text(
                1.01,
                0.5,
                f"mean {values.mean():.2f}\nn {len(values)}",
                transform=axes.transAxes,
                va="center",
                fontsize=9.5,
            )
        every[-1].set_xlabel(x)
        means = "; ".join(f"{name} mean {values.mean():.2f}" for name, values in rows.items())
        svg = _inline(canvas, label=f"{title}: {means}")
    return Figure(
        title=title, svg=svg, caption="Each row's bars add up to one; the line is its mean."
    )


def _color(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _bar(axes: Axes, cell: Cell, *, y: float, color: str) -> None:
    if cell.success_rate is None:
        axes.text(0.012, y, no_verdict(cell), va="center", fontsize=9.5)
        return
    low, high = cell.wilson95
    axes.barh(y, cell.success_rate, height=0.78, color=color)
    axes.plot([low, high], [y, y], color=INK, linewidth=1.0, solid_capstyle="butt")
    for end in (low, high):
        axes.plot([end, end], [y - 0.2, y + 0.2], color=INK, linewidth=1.0)
    axes.text(
        max(high, cell.success_rate) + 0.012,
        y,
        percent(cell.success_rate),
        va="center",
        fontsize=9.5,
    )


def _by_step(records: Sequence[LogLine], *, x: str) -> list[LogLine]:
    """Merge the lines of a step, in step order: after a resume steps are logged again, and the last
    line counts.
    """
    merged: dict[float, dict[str, float]] = {}
    for record in records:
        if x in record:
            merged.setdefault(record[x], {}).update(record)
    return [merged[step] for step in sorted(merged)]


def _curve(
    axes: Axes, records: Sequence[LogLine], *, x: str, y: str, color: str, **style: Any
) -> None:
    """Draw one quantity, averaged over runs of neighbouring lines where there are more than
    CURVE_POINTS.
    """
    found = np.array(
        [(record[x], record[y]) for record in records if record.get(y) is not None],
        dtype=np.float64,
    )
    if len(found):
        bins = np.array_split(found, min(len(found), CURVE_POINTS))
        axes.plot(
            *np.array([points.mean(axis=0) for points in bins]).T,
            color=color,
            linewidth=1.6,
            **style,
        )


def _name_lines(axes: Axes) -> None:
    """Write every run's name at the right end of its line, moved apart where ends are close."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    transform = axes.transScale + axes.transLimits  # data -> axes fraction
    ends = [float(transform.transform(np.asarray(line.get_xydata())[-1])[1]) for line in lines]
    height = -1.0
    for end, line in sorted(zip(ends, lines, strict=True), key=lambda pair: pair[0]):
        height = max(end, height + 0.075)
        style: Any = {
            "transform": axes.transAxes,
            "va": "center",
            "fontsize": 9.5,
            "color": line.get_color(),
        }
        axes.text(1.015, height, str(line.get_label()), **style)


def _spoken(cells: Sequence[Cell]) -> str:
    return "; ".join(
        f"{cell.arm}, {cell.task}, {cell.scene} {percent(cell.success_rate)}" for cell in cells
    )


def _inline(canvas: Canvas, *, label: str) -> str:
    """Return the canvas as one <svg> element: no XML prologue, no metadata, sizes and colours left
    to the page.
    """
    buffer = io.StringIO()
    canvas.savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    svg = buffer.getvalue()
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # the family is the page's
    svg = re.sub(
        r'<g id="[^"]*"', "<g", svg
    )  # ids must be unique in the page that holds several figures
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = svg.replace(INK, "currentColor")
    for place, color in enumerate(PALETTE):
        svg = svg.replace(color, f"var(--arm-{place}, {color})")
    spoken = (
        label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
    return svg.replace("<svg", f'<svg role="img" aria-label="{spoken}"', 1).strip()
