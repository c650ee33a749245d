"""What reading many regions at once costs beside reading them one by one."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from robot.perception.regions.reader import RegionReader
from robot.types import Frame, Region

REGIONS, REPEATS = 32, 7


def measure_speed(reader: RegionReader, *, regions: int = REGIONS) -> dict[str, float]:
    """Return the median time [ms] of reading `regions` masks of a 128-px frame in one pass and one
    by one, and the largest difference of their scores.
    """
    rng = np.random.default_rng(0)
    frame = Frame("agentview", rng.integers(0, 255, (128, 128, 3), dtype=np.uint8))
    given = [_square(rng, index=k) for k in range(1, regions + 1)]
    together = reader.describe(frame, given)
    alone = [reader.describe(frame, [region])[0] for region in given]
    difference = max(
        abs(one.scores[kind] - other.scores[kind])
        for one, other in zip(together, alone, strict=True)
        for kind in one.scores
    )
    return {
        "regions": regions,
        "together_ms": _median_ms(lambda: reader.describe(frame, given)),
        "one_by_one_ms": _median_ms(lambda: [reader.describe(frame, [r]) for r in given]),
        "difference": difference,
    }


def _square(rng: np.random.Generator, *, index: int) -> Region:
    mask = np.zeros((128, 128), dtype=bool)
    row, column = rng.integers(0, 108, 2)
    mask[row : row + 20, column : column + 12] = True
    return Region("agentview", mask=mask, index=index)


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))
