"""Grasp an object from above, and lift it: the part that Lift, Stack and PickPlaceCan share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robot.envs.builtin.motion import (
    CLOSED,
    OPEN,
    Manner,
    Pose,
    Script,
    body_pose,
    hand_pose,
    stay,
    travel,
)
from robot.envs.robots import gripper_of

SETTLE_STEPS = 1  # after closing, before the object is raised
FINGERS_OPEN_STEPS = 6
CARRY_STEPS, LOWER_STEPS = 120, 60  # at 1 cm per step, the farthest carry takes 90
RISE_M = 0.08  # after letting go


def holds(env: Any, model: Any) -> bool:
    """Return whether both fingertips touch the robosuite object `model`."""
    return bool(env._check_grasp(gripper=env.robots[0].gripper, object_geoms=model))


def pick_up(
    env: Any, *, model: Any, grasp: Callable[[], Pose], lift_m: float, manner: Manner
) -> Script:
    """Hover over `grasp()`, descend, close and rise by `lift_m`. Returns whether the object is in
    the hand.
    """

    def hover():
        return grasp().at(np.array([0.0, 0.0, manner.hover_m]))

    yield from travel(env, hover, gripper=OPEN, tolerance_m=0.025, max_delta_m=manner.max_delta_m)
    yield from travel(
        env, grasp, gripper=OPEN, tolerance_m=0.008, max_delta_m=manner.max_delta_m, patience=30
    )
    yield from stay(env, gripper=CLOSED, steps=gripper_of(env).close_steps + SETTLE_STEPS)
    start = hand_pose(env)
    above = start.at(np.array([0.0, 0.0, lift_m]))
    yield from travel(env, lambda: above, gripper=CLOSED, tolerance_m=0.02, patience=30)
    return holds(env, model)


def release_at(
    env: Any,
    *,
    model: Any,
    body: str,
    place: Callable[[], np.ndarray],
    rotation: np.ndarray,
    carry_m: float,
    tolerance_m: float,
    manner: Manner,
) -> Script:
    """Carry the held object above `place()` (its body's centre, m), lower it to within
    `tolerance_m`, open and rise.

    Returns False as soon as the object is lost. The hand is steered by where the object is, so that
    a crooked grasp still puts it in place.
    """

    def hand_for(height_m: float) -> Pose:
        offset = hand_pose(env).position - body_pose(env, body).position
        return Pose(place() + offset + np.array([0.0, 0.0, height_m]), rotation)

    legs = [
        (carry_m, 0.015, manner.max_delta_m, CARRY_STEPS),
        (0.0, tolerance_m, 0.6 * manner.max_delta_m, LOWER_STEPS),
    ]
    for height_m, within_m, max_delta_m, patience in legs:
        for target in travel(
            env,
            lambda height_m=height_m: hand_for(height_m),
            gripper=CLOSED,
            tolerance_m=within_m,
            tolerance_rad=0.1,
            max_delta_m=max_delta_m,
            patience=patience,
        ):
            if not holds(env, model):
                return False
            yield target
    yield from stay(env, gripper=OPEN, steps=FINGERS_OPEN_STEPS)
    above = hand_pose(env).at(np.array([0.0, 0.0, RISE_M]))
    yield from travel(env, lambda: above, gripper=OPEN, tolerance_m=0.02, patience=20)
    return True
