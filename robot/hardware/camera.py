"""What a camera is to everything above its driver: the newest frame, and when it was captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from robot.spaces import Camera
from robot.types import Viewpoint


class CameraError(RuntimeError):
    """A camera that cannot be opened or read, in one sentence with what to do."""


@dataclass(frozen=True)
class Shot:
    """One captured frame."""

    image: UInt8[np.ndarray, "h w 3"]  # RGB, upright
    time_s: float  # time.monotonic of its capture
    index: int  # counts captured frames from 0; a frozen camera does not count on
    viewpoint: Viewpoint | None = None  # of a simulated camera, which knows it


@dataclass(frozen=True)
class CameraHealth:
    """How well a camera works at one instant. `problem` says in one sentence what is wrong."""

    connected: bool
    fps: float  # new frames per second over the last frames; falls as none come
    age_s: float  # since the newest frame was captured; inf where none has come
    frozen: bool  # the same picture again and again, or no new one for too long
    black: bool  # the newest frame shows next to nothing
    reconnects: int
    dropped: int  # frames that came and could not be used: damaged, or of another size
    error: str = ""  # why it is not connected, in one sentence

    @property
    def problem(self) -> str:
        """Return what is wrong, "" where nothing is."""
        if not self.connected:
            return self.error or "not connected"
        if self.frozen:
            return f"frozen: no new picture for {self.age_s:.2f} s"
        return "black: covered, dark or without exposure" if self.black else ""


class CameraStream(Protocol):
    """A camera that captures in a thread of its own."""

    @property
    def camera(self) -> Camera:
        """Return name, height and width of the frames that it returns."""
        ...

    def connect(self) -> None:
        """Open the device and wait for its first frame. Raises CameraError."""
        ...

    def newest(self) -> Shot:
        """Return the newest frame at once, however old: whoever asks looks at `time_s`.

        Raises CameraError where no frame has ever come."""
        ...

    def disconnect(self) -> None:
        """End the thread and close the device; callable twice."""
        ...


class WatchedStream(CameraStream, Protocol):
    """A camera that knows how well it works."""

    def health(self) -> CameraHealth:
        """Return at once how well it works now."""
        ...


def problems_of(streams: Sequence[CameraStream]) -> dict[str, str]:
    """Return what cameras that know how well they work say is wrong with them."""
    asked = {s.camera.name: getattr(s, "health", None) for s in streams}
    found = {name: health().problem for name, health in asked.items() if health is not None}
    return {name: problem for name, problem in found.items() if problem}
