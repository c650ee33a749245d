"""robosuite's Stack: put the small red cube on the larger green one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from robot.envs.builtin.grasp import pick_up, release_at
from robot.envs.builtin.motion import (
    OPEN,
    Pose,
    ScriptedExpert,
    Style,
    Target,
    body_pose,
    body_yaw,
    hand_pose,
    nearest_yaw,
    top_down,
)
from robot.envs.builtin.wordings import choose_wording
from robot.types import Label

RED, GREEN = "cubeA_main", "cubeB_main"
HALF_HEIGHTS_M = 0.02 + 0.025  # of the red and of the green cube
LIFT_M = 0.10
CARRY_M = 0.05  # how far above its place the cube is carried
NEUTRAL_YAW = np.pi / 2  # fingers open along the robot's y axis at reset


class StackTask:
    """robot.envs.task.RobosuiteTask for Stack."""

    name = "stack"
    horizon = 200

    def make(self, *, wrap: Callable[[type], type] = lambda cls: cls, **options: Any) -> Any:
        """Build the raw environment."""
        from robosuite.environments.manipulation.stack import Stack

        return wrap(Stack)(**options)

    def goal(self, env: Any, *, rng: np.random.Generator, held_out: bool) -> str:
        return choose_wording(self.name, rng=rng, held_out=held_out)

    def roles(self, env: Any) -> Mapping[str, Label]:
        return {RED: Label.TARGET, GREEN: Label.DESTINATION}

    def success(self, env: Any) -> bool:
        return bool(env._check_success())

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        style = Style.draw(rng)
        return ScriptedExpert(env=env, script=script(env, style=style), noise=style.noise, rng=rng)


def script(env: Any, *, style: Style) -> Iterator[Target]:
    """Yield targets forever: pick the red cube up, put it on the green one, step back, and begin again if it fell."""
    while True:
        yaw = grasp_yaw(red=body_pose(env, RED), green=body_pose(env, GREEN))
        grasp = lambda yaw=yaw: Pose(  # noqa: E731
            body_pose(env, RED).position + style.offset_m, top_down(yaw, tilt_rad=style.tilt_rad)
        )
        held = yield from pick_up(env, model=env.cubeA, grasp=grasp, lift_m=LIFT_M, style=style)
        if held:
            place = lambda: body_pose(env, GREEN).position + np.array([0.0, 0.0, HALF_HEIGHTS_M])  # noqa: E731
            yield from release_at(
                env, model=env.cubeA, body=RED, place=place, rotation=place_rotation(env), carry_m=CARRY_M, style=style
            )
        pose = hand_pose(env)
        while env._check_success():
            yield Target(pose, OPEN)


def grasp_yaw(*, red: Pose, green: Pose) -> float:
    """Return the finger direction along a side of the red cube: near the neutral wrist, and not toward the green cube.

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
    """Return the hand pointing down, the red cube's sides turned parallel to the green cube's by the smaller angle."""
    red, green = body_yaw(body_pose(env, RED)), body_yaw(body_pose(env, GREEN))
    turn = nearest_yaw(green, to_rad=red, period_rad=np.pi / 2) - red
    hand = nearest_yaw(body_yaw(hand_pose(env)), to_rad=NEUTRAL_YAW, period_rad=np.pi)
    return top_down(hand + turn)
