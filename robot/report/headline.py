"""What the numbers say, in sentences generated from them: also when they say that the arm under
test does not win.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from robot.report.statistics import ALL_TASKS, NO_CONTEST, Cell, Difference, independent_difference

Row = TypeVar("Row", Cell, Difference)

TRAINED_IN = "clean"  # the scene that every arm sees in training
RIVAL_FROM = 0.9  # success there from which on an arm is a rival


def percent(rate: float | None) -> str:
    """Write a rate as a whole percentage, never rounding a failure up to 100% nor a success down to
    0%; "no verdict" where there is none.
    """
    if rate is None:
        return "no verdict"
    rounded = round(100 * rate)
    if rounded == 100 and rate < 1 or rounded == 0 and rate > 0:
        return f"{100 * rate:.1f}%"
    return f"{rounded}%"


def interval(bounds: tuple[float, float]) -> str:
    """Write an interval of rates in percent, the unit left to the reader's eye: "88-97"."""
    return f"{round(100 * bounds[0])}–{round(100 * bounds[1])}"


def points(difference: Difference) -> str:
    """Write a difference in percentage points with its interval: "+63 points (+52 to +71)"."""
    low, high = difference.interval95
    unit = "point" if abs(round(100 * difference.difference)) == 1 else "points"
    return f"{_signed(difference.difference)} {unit} ({_signed(low)} to {_signed(high)})"


def pooled(rows: Sequence[Row]) -> list[Row]:
    """Return what is of all tasks together where there is any of it, else what is of the single
    tasks.
    """
    return [row for row in rows if row.task == ALL_TASKS] or list(rows)


def differences_from_cells(cells: Sequence[Cell], *, arm: str) -> tuple[Difference, ...]:
    """Compare `arm` with every other arm, cell by cell; for callers that kept no episodes
    to pair.
    """
    ours = {(cell.task, cell.scene): cell for cell in cells if cell.arm == arm and cell.episodes}
    contested = [cell for cell in cells if cell.scene not in NO_CONTEST and cell.episodes]
    others = [cell for cell in contested if cell.arm != arm and (cell.task, cell.scene) in ours]
    return tuple(independent_difference(ours[cell.task, cell.scene], cell) for cell in others)


def opponents(
    differences: Sequence[Difference], *, baselines: Sequence[str]
) -> tuple[list[Difference], str]:
    """Return the differences that claims are made from, and what their other arms are called.

    `baselines` are the arms without masks: the strongest of them in a scene is what an arm with
    masks has to beat, and not another way to mask. Without any, all other arms count.
    """
    found = [d for d in differences if d.baseline in baselines]
    return (found, "arm without masks") if found else (list(differences), "other arm")


def headline(
    cells: Sequence[Cell],
    differences: Sequence[Difference],
    *,
    arm: str,
    scene: str,
    baselines: Sequence[str] = (),
) -> str:
    """Say how `arm` did in `scene`, against the strongest of its opponents there: a win is claimed
    over that one only.
    """
    differences, kind = opponents(differences, baselines=baselines)
    ours = [cell for cell in cells if cell.arm == arm and cell.scene == scene]
    if not ours:
        return f"No episodes of “{arm}” in “{scene}”: there is nothing to claim yet."
    judged = [cell for cell in ours if cell.episodes]
    if not judged:
        return f"No verdict on “{arm}” in “{scene}”: the goal names no object that is there."
    rivals = [d for d in differences if d.scene == scene and d.arm == arm]
    if not rivals:
        why = (
            "There, more success is no better"
            if scene in NO_CONTEST
            else "No other arm was run beside it"
        )
        return f"In “{scene}”, “{arm}” succeeds in {_rate(pooled(judged))}. {why}."
    rivals = pooled(rivals)
    task = rivals[0].task
    rivals = [d for d in rivals if d.task == task]
    rival = max(rivals, key=lambda d: d.baseline_rate)
    one_of_many = task != ALL_TASKS and len({cell.task for cell in cells}) > 1
    where = f"{scene}” on “{task}" if one_of_many else scene
    verb = {1: "beats", 0: "cannot be told apart from", -1: "loses to"}[rival.verdict]
    whom = f"the strongest {kind}" if len(rivals) > 1 else f"“{rival.baseline}”"
    theirs = (
        f"{percent(rival.baseline_rate)} for “{rival.baseline}”"
        if len(rivals) > 1
        else percent(rival.baseline_rate)
    )
    rates = f"{percent(rival.arm_rate)} against {theirs}, {points(rival)} over {_episodes(rival)}"
    return f"In “{where}”, “{arm}” {verb} {whom}: {rates}."


def scoreboard(
    differences: Sequence[Difference], *, arm: str, baselines: Sequence[str] = ()
) -> str:
    """Count over all scenes where `arm` beats, ties or loses to the strongest of its opponents, and
    name the losses.
    """
    differences, kind = opponents(differences, baselines=baselines)
    strongest: dict[tuple[str, str], Difference] = {}
    for d in pooled([d for d in differences if d.arm == arm]):
        held = strongest.get((d.task, d.scene))
        strongest[d.task, d.scene] = (
            d if held is None or d.baseline_rate > held.baseline_rate else held
        )
    if not strongest:
        return ""
    several_tasks = len({task for task, _ in strongest}) > 1
    names = {1: [], 0: [], -1: []}
    for (task, scene), d in strongest.items():
        names[d.verdict].append(f"{task} · {scene}" if several_tasks else scene)
    verdicts = {1: "better in", 0: "not distinguishable in", -1: "worse in"}
    counts = [
        f"{verdicts[v]} {len(found)} ({', '.join(found)})" for v, found in names.items() if found
    ]
    where = f"each of {len(strongest)} conditions" if len(strongest) > 1 else "the one condition"
    return f"Against the strongest {kind} in {where}, “{arm}” is {'; '.join(counts)}."


def twins(cells: Sequence[Cell], *, arm: str) -> tuple[str, ...]:
    """Say of every other arm that is right in fewer than RIVAL_FROM of the scenes that all arms
    were trained in that it is a twin: who beats it has beaten no rival.
    """
    return tuple(
        f"“{cell.arm}” succeeds in {percent(cell.success_rate)} of the “{TRAINED_IN}” scenes that "
        f"it was trained in, below {percent(RIVAL_FROM)}: a twin of “{arm}”, not a rival."
        for cell in pooled([cell for cell in cells if cell.scene == TRAINED_IN])
        if cell.arm != arm and cell.success_rate is not None and cell.success_rate < RIVAL_FROM
    )


def caveats(
    cells: Sequence[Cell], differences: Sequence[Difference], *, arm: str
) -> tuple[str, ...]:
    """Return what these numbers cannot show, one sentence each."""
    found = list(twins(cells, arm=arm))
    few_seeds = sorted({cell.arm for cell in cells if len(cell.seeds) == 1})
    if few_seeds:
        found.append(
            f"Trained once only: {', '.join(few_seeds)}. The intervals cover the luck of the "
            "episodes, not that of training."
        )
    if any(len(cell.seeds) > 1 for cell in cells):
        found.append(
            "Training seeds are pooled as if their episodes were independent; the rates by seed "
            "show how far they spread."
        )
    smallest = min((cell.episodes for cell in cells), default=0)
    if 0 < smallest < 100:
        low, high = max((cell.wilson95 for cell in cells), key=lambda bounds: bounds[1] - bounds[0])
        found.append(
            f"The smallest cell has {smallest} episodes; the widest interval spans "
            f"{round(100 * (high - low))} points."
        )
    if len(differences) > 1:
        found.append(
            f"{len(differences)} comparisons at 95%, not corrected for their number: "
            "were there no differences, about one in twenty would still seem to be one."
            if len(differences) >= 10
            else f"{len(differences)} comparisons at 95%, not corrected for their number."
        )
    if any(d.p_value is None for d in differences):
        found.append("Some arms did not run the same episodes; those comparisons are unpaired.")
    return tuple(found)


def _signed(rate: float) -> str:
    rounded = round(100 * rate)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def _rate(cells: Sequence[Cell]) -> str:
    rates = [
        f"{percent(cell.success_rate)} of {cell.episodes} episodes ({interval(cell.wilson95)})"
        for cell in cells
    ]
    return "; ".join(
        f"{text} on {cell.task}" if len(cells) > 1 else text
        for text, cell in zip(rates, cells, strict=True)
    )


def no_verdict(cell: Cell) -> str:
    """Write in how many episodes nobody can tell success: "no verdict (1 episode)"; "" where in
    none.
    """
    count = cell.no_verdict
    return f"no verdict ({count} episode{'' if count == 1 else 's'})" if count else ""


def _episodes(difference: Difference) -> str:
    return f"{difference.episodes} {'paired ' if difference.p_value is not None else ''}episodes"
