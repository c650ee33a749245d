"""Success rates with their uncertainty: episodes -> cells -> differences between arms.

An arm is one way to train and run an agent ("masked", "unmasked"); a cell is one arm on one task in
one scene. Intervals are 95% and in closed form, so the same episodes always give the same report:
- one rate: Wilson's score interval (Wilson 1927), which stays inside [0, 1] and keeps a width at 0%
  and 100%;
- the difference of two rates: Newcombe's square-and-add interval, method 10, for independent and
  for paired episodes
  (Newcombe 1998, Statistics in Medicine 17:873-890 and 17:2635-2650), with McNemar's exact test
  where episodes are paired.
All of them cover the luck of the episodes, not of training: `Cell.success_rate_by_seed` shows that
one.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from robot.types import InputError

Z95 = 1.959963984540054  # 97.5th percentile of the standard normal
ALL_TASKS = "all tasks"  # the task of a cell that pools several
IMPOSSIBLE = (
    "absent",
)  # scenes in which there is nothing to succeed at: what counts is that the hand takes nothing
NO_CONTEST = (
    *IMPOSSIBLE,
    "nonsense",
)  # scenes in which more success is no better: arms are not set against each other there


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluation episode. (seed, index) fixes the initial state; `training_seed` names the
    trained agent.

    `wrong_object` is True where another object was taken, `closed_on_object` there and at success;
    `mask_iou` is the target mask's mean IoU against simulator truth;
    `control_ms` is the wall time of every decision of the agent. None means not measured; a
    `success` of None, that nobody can tell: the goal names no object of the scene.
    """

    arm: str
    task: str
    scene: str
    training_seed: int
    seed: int
    index: int
    success: bool | None
    steps: int
    goal: str = ""
    wrong_object: bool | None = None
    mask_iou: float | None = None
    control_ms: tuple[float, ...] = ()
    closed_on_object: bool | None = None


@dataclass(frozen=True)
class Cell:
    """Episodes of one arm on one task in one scene, pooled over training seeds; rates are in [0,
    1]. Rates of success are over the `episodes` with a verdict, None where there are none.
    """

    arm: str
    task: str
    scene: str
    episodes: int
    successes: int
    seeds: tuple[int, ...]  # training seeds
    success_rate_by_seed: tuple[float | None, ...]  # in the order of `seeds`
    wrong_object_rate: float | None = None
    mean_iou: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    took_nothing: int | None = (
        # episodes in which the hand took no object, where the goal's own is not there (IMPOSSIBLE)
        None
    )
    no_verdict: int = 0  # further episodes, whose goal names no object of the scene

    @property
    def success_rate(self) -> float | None:
        return self.successes / self.episodes if self.episodes else None

    @property
    def wilson95(self) -> tuple[float, float]:
        return wilson95(self.successes, self.episodes)

    @property
    def took_nothing_rate(self) -> float | None:
        if self.took_nothing is None or not self.episodes:
            return None
        return self.took_nothing / self.episodes


@dataclass(frozen=True)
class Difference:
    """Success of `arm` minus success of `baseline`, in [-1, 1], with its 95% interval.

    `p_value` is McNemar's exact two-sided test, None where the two arms did not run the same
    episodes.
    """

    arm: str
    baseline: str
    task: str
    scene: str
    episodes: int  # pairs where paired, else episodes of the smaller arm
    arm_rate: float
    baseline_rate: float
    difference: float
    interval95: tuple[float, float]
    p_value: float | None = None

    @property
    def verdict(self) -> int:
        """Return +1 or -1 where the interval excludes zero, 0 where these episodes cannot tell."""
        low, high = self.interval95
        return int(low > 0) - int(high < 0)


def wilson95(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a success rate; (0, 1) where there are no
    episodes.
    """
    if not 0 <= successes <= episodes:
        raise InputError(
            f"got {successes} successes in {episodes} episodes, expected 0 <= successes <= "
            "episodes; check the counts"
        )
    if episodes == 0:
        return 0.0, 1.0
    rate, shrink = successes / episodes, Z95**2 / episodes
    centre = (rate + shrink / 2) / (1 + shrink)
    half = math.sqrt(shrink * (rate * (1 - rate) + shrink / 4)) / (1 + shrink)
    # At 0% and 100% the bound is exact; rounding must not push it past the rate itself.
    return min(max(0.0, centre - half), rate), max(min(1.0, centre + half), rate)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return McNemar's exact two-sided p-value from the two counts of discordant pairs."""
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def _square_and_add(
    first: float,
    first95: tuple[float, float],
    second: float,
    second95: tuple[float, float],
    *,
    correlation: float,
) -> tuple[float, float]:
    """Return Newcombe's interval of first - second from the interval of each rate."""
    below = (first - first95[0], second95[1] - second)
    above = (second - second95[0], first95[1] - first)
    low, high = (
        math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b)) for a, b in (below, above)
    )
    return first - second - low, first - second + high


def paired_interval95(
    *, both: int, only_first: int, only_second: int, neither: int
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two paired rates, from the 2 x 2 table of pairs
    (Newcombe's method 10).
    """
    n = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    margins = first * (n - first) * second * (n - second)
    agreement = both * neither - only_first * only_second
    corrected = (
        max(0.0, agreement - n / 2) if agreement > 0 else agreement
    )  # Newcombe's continuity correction
    correlation = corrected / math.sqrt(margins) if margins else 0.0
    return _square_and_add(
        first / n, wilson95(first, n), second / n, wilson95(second, n), correlation=correlation
    )


def paired_difference(
    first: Sequence[EpisodeResult], second: Sequence[EpisodeResult]
) -> Difference | None:
    """Compare two arms on the episodes that both ran (same task, scene, training seed, seed and
    index); None without any.
    """
    outcomes = [{_pair_key(r): r.success for r in results} for results in (first, second)]
    shared = outcomes[0].keys() & outcomes[1].keys()
    if not shared:
        return None
    pairs = [(outcomes[0][key], outcomes[1][key]) for key in shared]
    both, only_first = pairs.count((True, True)), pairs.count((True, False))
    only_second, neither = pairs.count((False, True)), pairs.count((False, False))
    n = len(pairs)
    return Difference(
        arm=first[0].arm,
        baseline=second[0].arm,
        task=_only({r.task for r in first}, many=ALL_TASKS),
        scene=_only({r.scene for r in first}, many="all scenes"),
        episodes=n,
        arm_rate=(both + only_first) / n,
        baseline_rate=(both + only_second) / n,
        difference=(only_first - only_second) / n,
        interval95=paired_interval95(
            both=both, only_first=only_first, only_second=only_second, neither=neither
        ),
        p_value=mcnemar_p(only_first, only_second),
    )


def independent_difference(first: Cell, second: Cell) -> Difference:
    """Compare two cells whose episodes do not pair up; both have episodes with a verdict."""
    ours, theirs = (cell.successes / cell.episodes for cell in (first, second))
    return Difference(
        arm=first.arm,
        baseline=second.arm,
        task=first.task,
        scene=first.scene,
        episodes=min(first.episodes, second.episodes),
        arm_rate=ours,
        baseline_rate=theirs,
        difference=ours - theirs,
        interval95=_square_and_add(ours, first.wilson95, theirs, second.wilson95, correlation=0.0),
    )


def compare(results: Sequence[EpisodeResult], *, arm: str) -> tuple[Difference, ...]:
    """Compare `arm` with every other arm in every scene but NO_CONTEST: tasks pooled, then (of
    several) task by task.

    Two arms are compared on the episodes that both ran, or as independent samples where they share
    none. Episodes without a verdict are left out.
    """
    results = _judged(results)
    tasks = dict.fromkeys(r.task for r in results)
    subsets = (
        [results, *([r for r in results if r.task == task] for task in tasks)]
        if len(tasks) > 1
        else [results]
    )
    return tuple(difference for subset in subsets for difference in _compare(subset, arm=arm))


def _compare(results: Sequence[EpisodeResult], *, arm: str) -> Iterator[Difference]:
    groups = _group(results, lambda r: (r.scene, r.arm))
    for (scene, baseline), theirs in groups.items():
        ours = groups.get((scene, arm))
        if baseline != arm and ours is not None and scene not in NO_CONTEST:
            yield paired_difference(ours, theirs) or independent_difference(
                *summarise([*ours, *theirs], pool_tasks=True)
            )


def summarise(results: Iterable[EpisodeResult], *, pool_tasks: bool = False) -> tuple[Cell, ...]:
    """Return one cell per (arm, task, scene) in the order of first appearance; `pool_tasks` makes
    it one per (arm, scene).
    """
    results = tuple(results)
    pooled = pool_tasks and len({r.task for r in results}) > 1
    groups = _group(results, lambda r: (r.arm, ALL_TASKS if pooled else r.task, r.scene))
    return tuple(_cell(arm, task, scene, group) for (arm, task, scene), group in groups.items())


def _cell(arm: str, task: str, scene: str, results: Sequence[EpisodeResult]) -> Cell:
    by_seed = dict(sorted(_group(results, lambda r: r.training_seed).items()))
    latencies = [ms for r in results for ms in r.control_ms]
    judged = _judged(results)
    closed = [r.closed_on_object for r in judged]
    return Cell(
        arm=arm,
        task=task,
        scene=scene,
        episodes=len(judged),
        successes=sum(bool(r.success) for r in judged),
        seeds=tuple(by_seed),
        success_rate_by_seed=tuple(_mean([r.success for r in of]) for of in by_seed.values()),
        wrong_object_rate=_mean([r.wrong_object for r in results]),
        mean_iou=_mean([r.mask_iou for r in results]),
        p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        p99_ms=float(np.percentile(latencies, 99)) if latencies else None,
        took_nothing=None if None in closed or scene not in IMPOSSIBLE else closed.count(False),
        no_verdict=len(results) - len(judged),
    )


def _judged(results: Iterable[EpisodeResult]) -> list[EpisodeResult]:
    """Return the episodes with a verdict."""
    return [result for result in results if result.success is not None]


def cell_to_json(cell: Cell) -> dict[str, Any]:
    """Return the plain keys of results.json, the derived rate and interval among them."""
    derived = {
        "success_rate": cell.success_rate,
        "wilson95": list(cell.wilson95) if cell.episodes else None,
        "took_nothing_rate": cell.took_nothing_rate,
    }
    return json.loads(json.dumps(asdict(cell))) | derived


def write_episodes(path: Path, results: Iterable[EpisodeResult]) -> None:
    """Write one JSON object per line; a kill can tear the last line only."""
    path.write_text("".join(json.dumps(asdict(r)) + "\n" for r in results))


def episode_from_json(record: Mapping[str, Any]) -> EpisodeResult:
    """Return the episode of one JSON object; keys that an episode does not have are ignored."""
    return _from_json(EpisodeResult, record)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file. A kill tears a line and what is appended later joins
    it: it is left out.
    """
    records = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def _from_json(kind: type, record: Mapping[str, Any]) -> Any:
    values = {f.name: record[f.name] for f in fields(kind) if f.name in record}
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
    )


def _pair_key(result: EpisodeResult) -> tuple[str, str, int, int, int]:
    return result.task, result.scene, result.training_seed, result.seed, result.index


def _group(
    results: Iterable[EpisodeResult], key: Callable[[EpisodeResult], Any]
) -> dict[Any, list[EpisodeResult]]:
    groups: dict[Any, list[EpisodeResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def _mean(values: Sequence[float | bool | None]) -> float | None:
    measured = [float(value) for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def _only(values: set[str], *, many: str) -> str:
    return next(iter(values)) if len(values) == 1 else many
