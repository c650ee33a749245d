"""robosuite's Lift: raise a red cube off the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robot.envs.builtin.base import BuiltinTask, unwrapped
from robot.envs.builtin.grasp import holds, pick_up
from robot.envs.builtin.motion import (
    CLOSED,
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

CUBE = "cube_main"
LIFT_M = 0.10  # success is 4 cm of clearance above the table


class LiftTask(BuiltinTask):
    """robosuite's Lift."""

    name = "lift"
    horizon = 100
    target = CUBE

    def make(self, *, wrap: Wrap = unwrapped, **options: Any) -> Any:
        """Build the raw environment. The seed is fixed: the cube's size is drawn from it while the
        model loads, and an episode must depend on nothing but what `begin` is given.
        """
        from robosuite.environments.manipulation.lift import Lift

        return wrap(Lift)(**{**options, "seed": 0})

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        manner = Manner.draw(rng)
        return ScriptedExpert(
            env=env, script=script(env, manner=manner), noise=manner.noise, rng=rng
        )


def script(env: Any, *, manner: Manner) -> Iterator[Target]:
    """Yield targets forever: pick the cube up, hold it, and begin again when it slips."""
    while True:
        held = yield from pick_up(
            env,
            model=env.cube,
            grasp=lambda: grasp(env, manner=manner),
            lift_m=LIFT_M,
            manner=manner,
        )
        pose = hand_pose(env)
        while held and holds(env, env.cube):
            yield Target(pose, CLOSED)


def grasp(env: Any, *, manner: Manner) -> Pose:
    """Return the hand over the cube's centre, the fingers along the side nearest to the neutral
    wrist.
    """
    cube = body_pose(env, CUBE)
    yaw = nearest_yaw(body_yaw(cube), to_rad=np.pi / 2, period_rad=np.pi / 2)
    return Pose(cube.position + manner.offset_m, top_down(yaw, tilt_rad=manner.tilt_rad))
