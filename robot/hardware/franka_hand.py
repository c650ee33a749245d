"""The Franka Hand: it takes one motion at a time and blocks until that has ended, so it has threads
of its own. A target above 0.6 opens it, one below 0.4 closes it on what is there; in between it
stays as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OPEN_ABOVE, CLOSE_BELOW = 0.6, 0.4
WATCH_S = 0.02  # between two looks at the width; the real hand publishes about 30 a second
ANYTHING = 1.0  # m, tolerance of a grasp: whatever lies between the fingers is held


@dataclass(frozen=True)
class HandMotion:
    """How the hand moves."""

    speed_m_s: float = 0.1
    force_n: float = 40.0


class FrankaHand:
    """A connected hand. `gripper` is franky's Gripper; `on_failure` gets what it raised."""

    def __init__(
        self, gripper: Any, *, motion: HandMotion, on_failure: Callable[[Exception], None]
    ) -> None:
        self._gripper, self._motion, self._on_failure = gripper, motion, on_failure
        self.max_width = float(gripper.max_width)
        self._width, self._time_s = float(gripper.width), time.monotonic()
        self._aimed: bool | None = None  # True: open; None: nothing was asked for yet
        self._moves: bool | None = None  # the motion that runs: True opens
        self._reached: bool | None = None  # the last one that ended
        self._asked, self._closing = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"franka-hand-{name}", daemon=True)
            for name, run in (("width", self._watch), ("motion", self._work))
        ]
        for thread in self._threads:
            thread.start()

    def opening(self) -> tuple[float, float]:
        """Return how open the hand is, 0..1, and the time of that measurement [s]."""
        return float(np.clip(self._width / max(self.max_width, 1e-6), 0.0, 1.0)), self._time_s

    def aim(self, target: float) -> float:
        """Begin to open or close, at once where the hand is idle and else after its motion; return
        the target that it goes for, 1 or 0.
        """
        if target > OPEN_ABOVE or target < CLOSE_BELOW:
            wanted = target > OPEN_ABOVE
            first = self._aimed is None
            if first and abs(target - self.opening()[0]) < OPEN_ABOVE - CLOSE_BELOW:
                return self.opening()[0]  # a hold where it is asks for no motion
            if wanted is not self._aimed:
                self._aimed = wanted
                self._asked.set()
        if self._aimed is None:
            return self.opening()[0]
        return float(self._aimed)

    def stop(self) -> None:
        """Begin no motion that waits; one that runs ends by itself, and a grasp keeps holding."""
        if self._asked.is_set():
            self._asked.clear()
            self._aimed = self._reached if self._moves is None else self._moves

    def close(self) -> None:
        """End the threads; the hand finishes its motion and keeps holding what it holds."""
        self._closing.set()
        self._asked.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_S):
            try:
                self._width, self._time_s = float(self._gripper.width), time.monotonic()
            except Exception as error:  # franky's, Poco's and libfranka's have no common base
                self._end(error)

    def _work(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._closing.is_set():
                return
            self._moves = bool(self._aimed)
            try:
                self._move(opening=self._moves)
            except Exception as error:
                self._end(error)
            finally:
                self._reached, self._moves = self._moves, None

    def _move(self, *, opening: bool) -> None:
        speed, force = self._motion.speed_m_s, self._motion.force_n
        if opening:
            self._gripper.move(self.max_width, speed)
        else:
            self._gripper.grasp(0.0, speed, force, epsilon_inner=ANYTHING, epsilon_outer=ANYTHING)

    def _end(self, error: Exception) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self._on_failure(error)
