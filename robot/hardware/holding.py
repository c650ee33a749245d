"""What holds an arm: commands and states that are malformed or stale, cameras and masks that show
no target. Pure: times come as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from robot.hardware.arm import ArmState, Command
from robot.hardware.interventions import Kind
from robot.hardware.kinematics import is_rotation
from robot.hardware.limits import SafetyLimits
from robot.types import MaskStatus

Hold = tuple[Kind, str]  # what holds the arm, and a word more

FAR_M = 1e3  # beyond the reach of any arm: squares of larger numbers overflow
FUTURE_S = 0.01  # how far a time may lie ahead of the clock: rounding, not another clock


@dataclass(frozen=True)
class Seen:
    """What a command was decided on: `time.monotonic` of captures, and the mask's word.

    A person who jogs the arm looks for himself: no Seen, and nothing of it is checked.
    """

    frame_s: Mapping[str, float] = field(default_factory=dict)  # camera -> capture
    problems: Mapping[str, str] = field(default_factory=dict)  # camera -> what is wrong with it
    mask_s: float | None = None  # capture of the frame that the mask was computed on
    mask_status: MaskStatus | None = None


def malformed(command: Command) -> Hold | None:
    """Return what is wrong with the form of a command."""
    return _bad_pose(command.ee_position, command.ee_rotation) or _bad_values(
        command.gripper_target, shape=(), what="gripper target"
    )


def bad_state(state: ArmState, *, joints: int) -> Hold | None:
    """Return what is wrong with a measured state."""
    found = (
        _bad_values(state.joint_position, shape=(joints,), what="joint positions")
        or _bad_pose(state.ee_position, state.ee_rotation)
        or _bad_values(state.gripper_opening, shape=(), what="gripper opening")
    )
    if found is None and np.abs(state.ee_position).max() > FAR_M:
        return Kind.BAD_STATE, f"a position beyond {FAR_M:g} m"
    return None if found is None else (Kind.BAD_STATE, found[1])


def _bad_pose(position: object, rotation: object) -> Hold | None:
    found = _bad_values(position, shape=(3,), what="position") or _bad_values(
        rotation, shape=(3, 3), what="rotation"
    )
    if found is None and not is_rotation(np.asarray(rotation, np.float64)):
        return Kind.NOT_A_ROTATION, "the matrix is not a rotation"
    return found


def _bad_values(values: object, *, shape: tuple[int, ...], what: str) -> Hold | None:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return Kind.WRONG_SHAPE, f"{what} of type {type(values).__name__}"
    if array.shape != shape:
        return Kind.WRONG_SHAPE, f"{what} of shape {array.shape}, expected {shape}"
    if not np.isfinite(array).all():
        return Kind.NOT_FINITE, f"{what} not finite"
    return None


def stale(kind: Kind, time_s: float, limit_s: float, now_s: float) -> Hold | None:
    """Return `kind` where something of `time_s` is too old, or from the future."""
    age_s = now_s - time_s
    if -FUTURE_S <= age_s <= limit_s:  # False for NaN
        return None
    return kind, f"{age_s * 1000:.0f} ms old, allowed {limit_s * 1000:.0f} ms"


def why_unseen(seen: Seen, limits: SafetyLimits, *, now_s: float) -> Hold | None:
    """Return why nothing may be decided on what was seen."""
    for camera, time_s in seen.frame_s.items():
        if held := stale(Kind.STALE_FRAME, time_s, limits.max_frame_age_s, now_s):
            return held[0], f"{camera}: {held[1]}"
    for camera, problem in seen.problems.items():
        return Kind.BAD_FRAME, f"{camera}: {problem}"
    if seen.mask_s is not None and (
        held := stale(Kind.STALE_MASK, seen.mask_s, limits.max_mask_age_s, now_s)
    ):
        return held
    if seen.mask_status not in (None, MaskStatus.FOUND):
        return Kind.NO_TARGET, f"the mask says {seen.mask_status.value}"
    return None
