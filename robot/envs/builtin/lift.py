"""robosuite's Lift: raise a red cube off the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from robot.envs.builtin.grasp import holds, pick_up
from robot.envs.builtin.motion import (
    CLOSED,
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

CUBE = "cube_main"
LIFT_M = 0.10  # success is 4 cm of clearance above the table


class LiftTask:
    """robot.envs.task.RobosuiteTask for Lift."""

    name = "lift"
    horizon = 100

    def make(self, *, wrap: Callable[[type], type] = lambda cls: cls, **options: Any) -> Any:
        """Build the raw environment. The seed is fixed: the cube's size is drawn from it while the model loads, and an
        episode must depend on nothing but the seed of its reset."""
        from robosuite.environments.manipulation.lift import Lift

        return wrap(Lift)(**{**options, "seed": 0})

    def goal(self, env: Any, *, rng: np.random.Generator, held_out: bool) -> str:
        return choose_wording(self.name, rng=rng, held_out=held_out)

    def roles(self, env: Any) -> Mapping[str, Label]:
        return {CUBE: Label.TARGET}

    def success(self, env: Any) -> bool:
        return bool(env._check_success())

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        style = Style.draw(rng)
        return ScriptedExpert(env=env, script=script(env, style=style), noise=style.noise, rng=rng)


def script(env: Any, *, style: Style) -> Iterator[Target]:
    """Yield targets forever: pick the cube up, hold it, and begin again when it slips."""
    while True:
        held = yield from pick_up(env, model=env.cube, grasp=lambda: grasp(env, style=style), lift_m=LIFT_M, style=style)
        pose = hand_pose(env)
        while held and holds(env, env.cube):
            yield Target(pose, CLOSED)


def grasp(env: Any, *, style: Style) -> Pose:
    """Return the hand over the cube's centre, the fingers along the side nearest to the neutral wrist."""
    cube = body_pose(env, CUBE)
    yaw = nearest_yaw(body_yaw(cube), to_rad=np.pi / 2, period_rad=np.pi / 2)
    return Pose(cube.position + style.offset_m, top_down(yaw, tilt_rad=style.tilt_rad))
