"""A monotonic clock of fixed rate. What was late stays late: no two ticks come closer together to
make up for it, because an arm would do in a few milliseconds what it was to do in 50.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

KEPT = 100_000  # periods that the percentiles are of: 80 minutes at 20 Hz
LATE_SHARE = 0.25  # of a period: later than this, and the grid of ticks moves


@dataclass(frozen=True)
class Tick:
    """One control step: `index` counts periods since the start, so that it jumps where some were
    missed.
    """

    index: int
    time_s: float  # when it was woken
    late_s: float
    missed: int  # periods without a tick before this one


@dataclass(frozen=True)
class Timing:
    """Periods between ticks [ms], and how many never came."""

    ticks: int
    missed: int
    period_p50_ms: float
    period_p99_ms: float
    period_max_ms: float
    late_p99_ms: float


class Clock:
    """Call `tick` once per control step: it sleeps until the next is due."""

    def __init__(
        self,
        period_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.period_s, self._now, self._sleep = period_s, now, sleep
        self._due = self._last = 0.0
        self._index = -1
        self._ticks = self._missed = 0
        self._periods: deque[float] = deque(maxlen=KEPT)
        self._lateness: deque[float] = deque(maxlen=KEPT)

    def start(self) -> None:
        """Make the next tick due at once, without counting what came before as missed."""
        self._due, self._index = self._now(), self._index if self._index >= 0 else -1
        self._last = self._due - self.period_s
        self._fresh = True

    def tick(self) -> Tick:
        """Sleep until the next tick is due, and return it."""
        if self._index < 0 and not self._ticks:
            self.start()
        delay = self._due - self._now()
        if delay > 0:
            self._sleep(delay)
        now = self._now()
        late = now - self._due
        elapsed = max(1, round((now - self._last) / self.period_s))
        self._note(now - self._last, late, missed=elapsed - 1)
        self._index += elapsed
        self._last = now
        if late > LATE_SHARE * self.period_s:
            self._due = now  # the grid moves: the next tick is a whole period away
        self._due += self.period_s
        return Tick(index=self._index, time_s=now, late_s=late, missed=elapsed - 1)

    def timing(self) -> Timing:
        """Return what the periods were so far."""
        periods = np.array(self._periods or [self.period_s])
        lateness = np.array(self._lateness or [0.0])
        return Timing(
            ticks=self._ticks,
            missed=self._missed,
            period_p50_ms=float(1e3 * np.quantile(periods, 0.5)),
            period_p99_ms=float(1e3 * np.quantile(periods, 0.99)),
            period_max_ms=float(1e3 * periods.max()),
            late_p99_ms=float(1e3 * np.quantile(lateness, 0.99)),
        )

    def _note(self, period: float, late: float, *, missed: int) -> None:
        if not self._fresh:
            self._periods.append(period)
            self._missed += missed
        self._fresh = False
        self._lateness.append(late)
        self._ticks += 1
