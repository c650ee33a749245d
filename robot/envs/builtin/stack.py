"""robosuite's Stack: put the small red cube on the larger green one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robot.envs.builtin.base import BuiltinTask, unwrapped
from robot.envs.builtin.grasp import holds, pick_up, release_at
from robot.envs.builtin.motion import (
    OPEN,
    Manner,
    Pose,
    ScriptedExpert,
    Target,
    body_pose,
    body_yaw,
    hand_pose,
    nearest_yaw,
    top_down,
)
from robot.envs.task import Wrap

RED, GREEN = "cubeA_main", "cubeB_main"
ON_TOP_M = np.array([0.0, 0.0, 0.02 + 0.025])  # half heights of the red and of the green cube
LIFT_M = 0.10
CARRY_M = 0.05  # how far above its place the cube is carried
NEUTRAL_YAW = np.pi / 2  # fingers open along the robot's y axis at reset


class StackTask(BuiltinTask):
    """robosuite's Stack."""

    name = "stack"
    horizon = 200
    target = RED
    destinations = (GREEN,)

    def make(self, *, wrap: Wrap = unwrapped, **options: Any) -> Any:
        """Build the raw environment."""
        from robosuite.environments.manipulation.stack import Stack

        return wrap(Stack)(**options)

    def wrong_object(self, env: Any) -> bool:
        """Return whether the green cube is in the hand."""
        return holds(env, env.cubeB)

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        manner = Manner.draw(rng)
        return ScriptedExpert(
            env=env, script=script(env, manner=manner), noise=manner.noise, rng=rng
        )


def script(env: Any, *, manner: Manner) -> Iterator[Target]:
    """Yield targets forever: pick the red cube up, put it on the green one, step back, and begin
    again if it fell.
    """
    while True:
        rotation = top_down(
            grasp_yaw(red=body_pose(env, RED), green=body_pose(env, GREEN)),
            tilt_rad=manner.tilt_rad,
        )

        def grasp(rotation=rotation):
            return Pose(body_pose(env, RED).position + manner.offset_m, rotation)

        held = yield from pick_up(env, model=env.cubeA, grasp=grasp, lift_m=LIFT_M, manner=manner)
        if held:
            yield from release_at(
                env,
                model=env.cubeA,
                body=RED,
                place=lambda: body_pose(env, GREEN).position + ON_TOP_M,
                rotation=place_rotation(env),
                carry_m=CARRY_M,
                tolerance_m=0.005,
                manner=manner,
            )
        pose = hand_pose(env)
        while env._check_success():
            yield Target(pose, OPEN)


def grasp_yaw(*, red: Pose, green: Pose) -> float:
    """Return the finger direction along a side of the red cube: near the neutral wrist, and not
    toward the green cube.

    An open finger reaches 6 cm from the centre, and the cubes' centres are as near as 6.4 cm.
    """
    side = nearest_yaw(body_yaw(red), to_rad=NEUTRAL_YAW, period_rad=np.pi / 2)
    gap = green.position[:2] - red.position[:2]
    candidates = [side, side - np.pi / 2 if side > NEUTRAL_YAW else side + np.pi / 2]

    def cost(yaw: float) -> float:
        toward = abs(float(gap @ [np.cos(yaw), np.sin(yaw)]))
        across = abs(float(gap @ [-np.sin(yaw), np.cos(yaw)]))
        blocked = toward < 0.11 and across < 0.05
        return abs(yaw - NEUTRAL_YAW) + (10.0 * (0.11 - toward) + 2.0 if blocked else 0.0)

    return min(candidates, key=cost)


def place_rotation(env: Any) -> np.ndarray:
    """Return the hand pointing down, the red cube's sides turned parallel to the green cube's by
    the smaller angle.
    """
    red, green = body_yaw(body_pose(env, RED)), body_yaw(body_pose(env, GREEN))
    turn = nearest_yaw(green, to_rad=red, period_rad=np.pi / 2) - red
    hand = nearest_yaw(body_yaw(hand_pose(env)), to_rad=NEUTRAL_YAW, period_rad=np.pi)
    return top_down(hand + turn)
