"""What a person at a device wants right now: one frozen value per poll, whatever the device."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Float64

AXES = ("x", "y", "z", "rx", "ry", "rz")  # of a velocity, in the arm's base frame


class OperatorError(RuntimeError):
    """A device that cannot be opened or was lost, in one sentence with what to do."""


class Button(str, Enum):
    """What a person can press."""

    TAKE_OVER = "take_over"
    HAND_BACK = "hand_back"
    SUCCESS = "success"
    FAILURE = "failure"
    STOP = "stop"  # the e-stop
    CONFIRM = "confirm"


@dataclass(frozen=True)
class OperatorInput:
    """What a person does at one instant."""

    time_s: float  # time.monotonic
    velocity: Float64[np.ndarray, "6"] = field(default_factory=lambda: np.zeros(6))  # m/s, rad/s
    gripper: float | None = None  # target, 0 closed .. 1 open; None leaves it where it is
    buttons: frozenset[Button] = frozenset()  # pressed since the last poll

    @property
    def is_moving(self) -> bool:
        return bool(np.any(self.velocity != 0))


class Operator(Protocol):
    """A device in a person's hands."""

    help: str  # its keys in one line

    def connect(self) -> None:
        """Open the device. Raises OperatorError or InputError in one sentence."""
        ...

    def poll(self) -> OperatorInput:
        """Return at once what has been done since the last poll. A device that is lost gives no
        velocity, and STOP once.
        """
        ...

    def close(self) -> None:
        """Let go of the device; callable twice."""
        ...


def action_of(
    operator: OperatorInput, *, control_dt_s: float, gripper: float
) -> Float32[np.ndarray, "7"]:
    """Return what a person does as the action of an arm under end-effector control: position and
    rotation-vector delta per control step, gripper target. `gripper` is its target so far.
    """
    target = gripper if operator.gripper is None else operator.gripper
    return np.array([*(operator.velocity * control_dt_s), target], np.float32)
