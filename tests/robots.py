"""Spaces for tests: those of a Panda with given cameras, and of an arm that shares nothing with
it.
"""

from __future__ import annotations

import math

from robot.end_effector import panda_spaces
from robot.spaces import Camera, Spaces, Vector


def panda(*, control_dt_s: float = 0.05, **cameras: tuple[int, int]) -> Spaces:
    """Return a Panda's spaces; cameras are name=(height, width)."""
    return panda_spaces(cameras=_cameras(cameras), control_dt_s=control_dt_s)


def other_arm(**cameras: tuple[int, int]) -> Spaces:
    """Return 9 state values, 6 actions (5 joint deltas and a gripper), 10 Hz."""
    joints = tuple(f"joint_{k}" for k in range(5))
    state = Vector(
        names=(*joints, "force_x", "force_y", "force_z", "gripper_opening"),
        units=("rad",) * 5 + ("N",) * 3 + ("1",),
        low=(-3.0,) * 5 + (-math.inf,) * 3 + (0.0,),
        high=(3.0,) * 5 + (math.inf,) * 3 + (1.0,),
        groups=(("joints", 5), ("force", 3), ("gripper", 1)),
        relative=(False,) * 9,
    )
    action = Vector(
        names=(*(f"delta_{name}" for name in joints), "gripper_target"),
        units=("rad",) * 5 + ("1",),
        low=(-0.1,) * 5 + (0.0,),
        high=(0.1,) * 5 + (1.0,),
        groups=(("delta_joints", 5), ("gripper", 1)),
        relative=(True,) * 5 + (False,),
    )
    return Spaces(state, action, _cameras(cameras), control_dt_s=0.1, robot_type="five_joints")


def _cameras(sizes: dict[str, tuple[int, int]]) -> tuple[Camera, ...]:
    return tuple(Camera(name, height=h, width=w) for name, (h, w) in sizes.items())
