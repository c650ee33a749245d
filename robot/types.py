"""What crosses a package boundary: frozen types, never bare dictionaries.

Frames are uint8 RGB, upright, (H, W, 3). Positions are metres in the robot's base frame, rotations
are 6-D (the first two columns of the rotation matrix) or rotation vectors in radians, times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from robot.errors import InputError as InputError  # robot.types is where everyone imports it from
from robot.spaces import Spaces


class Label(int, Enum):
    """Role of a pixel with respect to the goal; the values of a label map."""

    BACKGROUND = 0
    TARGET = 1
    DESTINATION = 2
    GRIPPER = 3


MASK_CHANNELS = (
    Label.TARGET,
    Label.DESTINATION,
    Label.GRIPPER,
)  # order of the channel axis of every mask


class MaskStatus(str, Enum):
    """What the mask head says about the target: what to do with it is the agent's business."""

    FOUND = "found"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Region:
    """A box in pixels (x0, y0, x1, y1), the maxima exclusive, and an optional mask, in one camera's
    frame.
    """

    camera: str
    box: tuple[float, float, float, float]
    mask: Bool[np.ndarray, "h w"] | None = None


@dataclass(frozen=True)
class Goal:
    """What the robot is asked for: a sentence, and optional regions that it refers to."""

    text: str
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One camera image: uint8 RGB, upright."""

    camera: str
    image: UInt8[np.ndarray, "h w 3"]
    time_s: float = 0.0


@dataclass(frozen=True)
class Observation:
    """What an agent sees at one control step."""

    frames: tuple[Frame, ...]
    proprio: Float32[np.ndarray, " s"]  # in the order of Spaces.state
    goal: Goal
    time_s: float

    @staticmethod
    def from_env(observation: Mapping, spaces: Spaces) -> Observation:
        """Turn the Gymnasium dictionary of the env API into an Observation, cameras and values in
        the order of `spaces`.
        """
        times, images = observation["time"], observation["images"]
        if set(images) != set(spaces.camera_names):
            raise InputError(
                f"got images of {sorted(images)}, expected those of {list(spaces.camera_names)}: "
                "what the env's spaces declare"
            )
        frames = tuple(
            Frame(camera=name, image=images[name], time_s=float(times[name].item()))
            for name in spaces.camera_names
        )
        return Observation(
            frames=frames,
            proprio=spaces.state.flatten(observation["proprio"]),
            goal=Goal(observation["goal"]["text"]),
            time_s=float(times["proprio"].item()),
        )


@dataclass(frozen=True)
class Mask:
    """Masks of N frames for one goal, each at its frame's size, channels in the order
    MASK_CHANNELS (target, destination, gripper).

    `presence` is the calibrated probability that target and destination are visible;
    `predicted_iou` is the head's own estimate of the IoU of its target mask; `age_s` is the time
    since the frame that the mask was computed on. `sentence` is what the head was asked in place of
    the goal's own words; "" where they ask for nothing that it can do, None where they stand.
    """

    probability: tuple[Float32[np.ndarray, "3 _ _"], ...]
    presence: Float32[np.ndarray, "n 2"]
    predicted_iou: Float32[np.ndarray, " n"]
    status: tuple[MaskStatus, ...]
    age_s: float = 0.0
    sentence: str | None = None


@dataclass(frozen=True)
class ActionChunk:
    """Actions for the next T control steps, starting at the observation's time."""

    actions: Float32[np.ndarray, "t a"]
    control_dt_s: float
    time_s: float = 0.0


QUALITY = "quality"  # key of Episode.extra
CLEAN = "clean"


def quality_of(extra: Mapping[str, str]) -> str:
    """Return the quality that an episode's `extra` names: CLEAN, also where it names none, or a
    kind of corruption.
    """
    return extra.get(QUALITY, CLEAN)


@dataclass(frozen=True)
class Episode:
    """A recorded episode of T steps. `labels` hold a Label per pixel; `images[c][t]` is what was
    seen before `actions[t]`. `spaces` name what proprio and actions mean.

    `tier` is "trusted" (a verified demonstration) or "machine"; `weight` is the demonstration
    weight (1 until it is set). `extra["quality"]` names the corruption of a demonstration, where
    that is known (`quality_of`). `columns` are further values per step, (T,) each: what a
    recording knows of time, masks and corrections.
    """

    task: str
    goal: Goal
    images: Mapping[str, UInt8[np.ndarray, "t _ _ 3"]]
    labels: Mapping[str, UInt8[np.ndarray, "t _ _"]]
    proprio: Float32[np.ndarray, "t s"]
    actions: Float32[np.ndarray, "t a"]
    spaces: Spaces
    control_dt_s: float
    success: bool
    seed: int
    index: int
    scene: str
    tier: str = "trusted"
    weight: float = 1.0
    extra: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)
