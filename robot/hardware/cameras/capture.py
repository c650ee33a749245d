"""All that a capturing thread knows, as one frozen value that is replaced whole: who reads it needs
no lock and waits for nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from robot.hardware.camera import CameraHealth, Shot
from robot.hardware.cameras.options import Limits

REMEMBERED = 30  # arrivals that the frame rate is measured over


@dataclass(frozen=True)
class Captured:
    """The newest frame, and what has happened so far."""

    shot: Shot | None = None
    arrivals: tuple[float, ...] = ()  # s, of the last new frames
    repeats: int = 0  # of the newest picture, in a row
    black: bool = False
    connected: bool = False
    reconnects: int = 0
    dropped: int = 0
    error: str = ""

    def with_frame(
        self, image: UInt8[np.ndarray, "h w 3"], *, time_s: float, black: bool
    ) -> Captured:
        """Add a new frame."""
        index = 0 if self.shot is None else self.shot.index + 1
        return replace(
            self,
            shot=Shot(image, time_s, index),
            arrivals=(*self.arrivals, time_s)[-REMEMBERED:],
            repeats=0,
            black=black,
            error="",
        )

    def with_repeat(self) -> Captured:
        """Add the same picture again: it is not a new frame, the old one ages."""
        return replace(self, repeats=self.repeats + 1)

    def with_connection(self) -> Captured:
        """Begin a connection; every one after the first frame is a reconnection."""
        again = self.shot is not None
        return replace(
            self, connected=True, repeats=0, arrivals=(), reconnects=self.reconnects + again
        )

    def with_loss(self, error: str) -> Captured:
        return replace(self, connected=False, error=error)

    def with_drop(self, error: str) -> Captured:
        return replace(self, dropped=self.dropped + 1, error=error)


def health_of(captured: Captured, *, now_s: float, limits: Limits) -> CameraHealth:
    """Return how well a camera works at `now_s`."""
    age_s = math.inf if captured.shot is None else max(0.0, now_s - captured.shot.time_s)
    repeated = limits.frozen_after is not None and captured.repeats >= limits.frozen_after
    return CameraHealth(
        connected=captured.connected,
        fps=frames_per_second(captured.arrivals, now_s=now_s),
        age_s=age_s,
        frozen=captured.connected and (repeated or age_s > limits.stalled_after_s),
        black=captured.black,
        reconnects=captured.reconnects,
        dropped=captured.dropped,
        error=captured.error,
    )


def frames_per_second(arrivals: tuple[float, ...], *, now_s: float) -> float:
    """Return the rate of the last arrivals; it falls as soon as the next one is overdue."""
    if len(arrivals) < 2:
        return 0.0
    usual_s = (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1)
    overdue_s = max(0.0, now_s - arrivals[-1] - usual_s)
    return (len(arrivals) - 1) / max(arrivals[-1] - arrivals[0] + overdue_s, 1e-9)
