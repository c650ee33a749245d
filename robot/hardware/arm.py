"""What an arm is to everything above its driver. A new arm is one file that implements `Arm`.

Positions are metres and rotations matrices in the arm's base frame, joints radians, times seconds
of `time.monotonic`. A command is a pose of the end effector to be at one control period later: a
driver turns it into what its controller takes (a streamed Cartesian target, joint targets by
inverse kinematics). Conventions follow LeRobot's `Robot`: what an arm has is readable while it is
disconnected, and `send` returns what was really sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float64

from robot.spaces import Vector


class ArmError(RuntimeError):
    """The arm or the connection to it failed: a person has to look before it goes on.

    The message is one sentence: what happened, and what to do.
    """


@dataclass(frozen=True)
class ArmState:
    """What the arm measured about itself at one instant."""

    time_s: float  # of the measurement, not of the call that returned it
    joint_position: Float64[np.ndarray, " j"]  # rad
    joint_velocity: Float64[np.ndarray, " j"]  # rad/s
    ee_position: Float64[np.ndarray, "3"]  # m
    ee_rotation: Float64[np.ndarray, "3 3"]
    gripper_opening: float  # 0 closed .. 1 open


@dataclass(frozen=True)
class Command:
    """Where the end effector is to be one control period from now."""

    ee_position: Float64[np.ndarray, "3"]  # m
    ee_rotation: Float64[np.ndarray, "3 3"]
    gripper_target: float  # 0 closed .. 1 open
    time_s: float  # when it was decided


@dataclass(frozen=True)
class JointLimits:
    """What each joint may do; from the vendor's data sheet."""

    low: Float64[np.ndarray, " j"]  # rad
    high: Float64[np.ndarray, " j"]  # rad
    velocity: Float64[np.ndarray, " j"]  # rad/s


@dataclass(frozen=True)
class ArmFeatures:
    """What an arm has, known before it is connected."""

    robot_type: str  # its name in datasets and checkpoints
    joint_names: tuple[str, ...]
    joints: JointLimits
    state: Vector
    action: Vector
    control_dt_s: float
    extra: str = ""  # the pip extra with its vendor's library, "" where none is needed
    notes: Sequence[str] = field(default_factory=tuple)


class Arm(Protocol):
    """A driver. Calls come from one thread; `stop` may come from any, at any time."""

    features: ArmFeatures

    def connect(self) -> None:
        """Reach the arm and make it ready; nothing moves. Raises ArmError in one sentence."""
        ...

    def read(self) -> ArmState:
        """Return the newest measured state without waiting longer than one control period."""
        ...

    def send(self, command: Command) -> Command:
        """Hand one command to the controller at once and return what was really sent."""
        ...

    def forward(
        self, joints: Float64[np.ndarray, " j"]
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Return the end effector's pose at joint positions: pure kinematics, no connection."""
        ...

    def stop(self) -> None:
        """Bring the arm to rest where it is, as fast as is safe, and hold it; callable twice."""
        ...

    def recover(self) -> None:
        """Clear a reflex or error of the controller after a person has looked. Nothing moves."""
        ...

    def disconnect(self) -> None:
        """Stop and let go of the connection; callable twice."""
        ...
