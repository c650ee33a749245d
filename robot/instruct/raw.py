"""What a simulator shows through one camera at one time, as arrays and plain facts.

The scene graph is computed from it (robot.instruct.build), and so is, by other code, what the
verifier compares every answer with (robot.instruct.verify). The simulators' side of it is
robot/rollout/raw_frames.py. Lengths are metres, angles radians, the world frame has z up; cameras
have OpenCV axes (x right, y down, z forward); pixel (row, column) covers u in [column, column + 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

Kind = Literal["object", "receptacle", "surface", "part", "gripper", "robot", "marker"]
GoalKind = Literal["pick", "place", "open"]
NOTHING = -1  # in a segmentation: a pixel that shows no thing (wall, floor, sky)


@dataclass(frozen=True)
class Joint:
    """What moves a part: `value` within [closed, open] (rad or m; closed may be the larger)."""

    value: float
    closed: float
    open: float

    @property
    def opening(self) -> float:
        """Return how far it is open, 0 to 1."""
        return (self.value - self.closed) / (self.open - self.closed)


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing of a scene: its names as the simulator's model gives them, and where it is.

    `id` is the same in every frame and camera of an episode. The box that holds its visible
    geometry has the centre `centre_m` and the half edges `half_m` in the thing's own frame;
    `cavity_m` are the half widths (x, y) of what things can lie in.
    """

    id: int
    cls: str
    kind: Kind
    T_world_thing: Float[np.ndarray, "4 4"]
    centre_m: Float[np.ndarray, "3"]
    half_m: Float[np.ndarray, "3"]
    colour: str | None = None  # None where no colour word names it clearly
    material: str | None = None
    cavity_m: tuple[float, float] | None = None
    joint: Joint | None = None


@dataclass(frozen=True)
class RawGoal:
    """What an episode asks for, by ids; `success` is the simulator's own answer at this time."""

    text: str
    kind: GoalKind
    targets: tuple[int, ...]
    destinations: tuple[int, ...] = ()
    success: bool = False


@dataclass(frozen=True, eq=False)
class RawRobot:
    """The arm: the grasping point's pose, how open the fingers are (0 to 1), and which things touch
    which side of the hand: pairs (thing id, 0 or 1).
    """

    T_world_base: Float[np.ndarray, "4 4"]
    T_world_ee: Float[np.ndarray, "4 4"]
    opening: float
    finger_contacts: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, eq=False)
class RawFrame:
    """One camera's view of one moment.

    `alone` holds what every thing of `things` would cover if nothing hid it, in their order.
    `contacts` are unordered pairs of ids, the smaller first.
    """

    family: str  # tabletop, lift, stack, door, ...
    episode: str  # unique in a data set
    frame: int
    time_s: float
    camera: str
    K: Float[np.ndarray, "3 3"]
    T_world_camera: Float[np.ndarray, "4 4"]
    segmentation: Int32[np.ndarray, "h w"]
    depth_m: Float32[np.ndarray, "h w"]
    alone: Bool[np.ndarray, "n h w"]
    things: tuple[Thing, ...]
    contacts: frozenset[tuple[int, int]]
    robot: RawRobot
    goal: RawGoal | None = None
    image: UInt8[np.ndarray, "h w 3"] | None = None  # as the camera's sensor shows it
