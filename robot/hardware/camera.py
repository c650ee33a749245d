"""What a camera is to everything above its driver: the newest frame, and when it was captured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from robot.spaces import Camera


class CameraError(RuntimeError):
    """A camera that cannot be opened or read, in one sentence with what to do."""


@dataclass(frozen=True)
class Shot:
    """One captured frame."""

    image: UInt8[np.ndarray, "h w 3"]  # RGB, upright
    time_s: float  # time.monotonic of its capture
    index: int  # counts captured frames from 0; a frozen camera does not count on


class CameraStream(Protocol):
    """A camera that captures in a thread of its own."""

    camera: Camera  # name, height, width of the frames that it returns

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
