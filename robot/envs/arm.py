"""An arm with a gripper in a compiled MuJoCo model: where its parts are, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:  # a tenth of a second
    import mujoco


@dataclass(frozen=True)
class Finger:
    """One joint of a gripper and its positions (m, or rad in a linkage) at both ends."""

    joint: str
    closed: float
    open: float


@dataclass(frozen=True)
class Gripper:
    """A gripper with one degree of freedom.

    `linkage` couples all joints to the first, as the bars of the real hand do: robosuite 1.5's
    Robotiq models hold theirs together with a soft tendon and contacts between the bars, which jam
    half closed. `control_ranges` replace those of actuators by name.
    """

    fingers: tuple[Finger, ...]
    stroke_m: float  # between the pads when open
    grasp_m: float = 0.0  # from the grip site along the palm's axis to the point that grasps
    close_steps: int = 7  # control steps from open to a firm grip on an object
    linkage: bool = False
    control_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def opening(self, joints: Float[np.ndarray, " k"]) -> float:
        """Return how open the fingers are, 0..1, from the joint positions in their order."""
        travelled = sum(abs(q - f.closed) for q, f in zip(joints, self.fingers, strict=True))
        whole = sum(abs(f.open - f.closed) for f in self.fingers)
        return float(np.clip(travelled / whole, 0.0, 1.0)) if self.fingers else 0.0

    def joints(self, opening: float) -> Float[np.ndarray, " k"]:
        """Return the joint positions of an opening 0..1: the inverse of `opening`."""
        return np.array([f.closed + opening * (f.open - f.closed) for f in self.fingers])


PANDA_HAND = Gripper(
    fingers=(Finger("finger_joint1", 0.0, 0.04), Finger("finger_joint2", 0.0, -0.04)),
    stroke_m=0.08,
)


@dataclass(frozen=True)
class Arm:
    """Addresses in a compiled model: `joints` and `fingers` in qpos, `dofs` in qvel, bodies and the
    grip site by number. `rest_rad` is where the arm rests.
    """

    gripper: Gripper
    rest_rad: Float[np.ndarray, " j"]
    base: int
    site: int
    joints: list[int]
    dofs: list[int]
    fingers: list[int]
    finger_bodies: frozenset[int]

    def grasp_point(self, data: mujoco.MjData) -> Float[np.ndarray, "3"]:
        """Return the point between the fingers that grasps, in the world [m]."""
        palm = data.site_xmat[self.site].reshape(3, 3)[:, 2]
        return data.site_xpos[self.site] + self.gripper.grasp_m * palm

    def opening(self, data: mujoco.MjData) -> float:
        """Return how open the fingers are, 0..1."""
        return self.gripper.opening(data.qpos[self.fingers])

    def pose_in_base(
        self, data: mujoco.MjData
    ) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]:
        """Return position [m] and rotation of the grip site in the frame of the base."""
        base = data.xmat[self.base].reshape(3, 3)
        position = base.T @ (data.site_xpos[self.site] - data.xpos[self.base])
        return position, base.T @ data.site_xmat[self.site].reshape(3, 3)
