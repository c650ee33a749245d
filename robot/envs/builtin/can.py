"""robosuite's PickPlaceCan: move the soda can from the left bin into its compartment of the right bin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from robot.envs.builtin.grasp import pick_up, release_at
from robot.envs.builtin.motion import OPEN, Pose, ScriptedExpert, Style, Target, body_pose, hand_pose, top_down
from robot.envs.builtin.wordings import choose_wording
from robot.types import Label

CAN, MARKER, BIN = "Can_main", "VisualCan_main", "bin2"
NEUTRAL_YAW = np.pi / 2  # fingers open along the robot's y axis at reset
YAW_SPREAD_RAD = 0.4  # the can is round: any finger direction grasps it
GRASP_ABOVE_CENTRE_M = 0.012  # the palm stays clear of the bin's walls
# Where the can is let go, relative to the centre of its compartment: a corner that the arm reaches, 9 cm off its walls.
RELEASE_M, RELEASE_SPREAD_M = np.array([-0.045, -0.065, 0.03]), np.array([0.015, 0.02, 0.01])
LIFT_M, CARRY_M = 0.14, 0.08  # the bins' walls rise 9 cm above the floor that the can stands on


class CanTask:
    """robot.envs.task.RobosuiteTask for PickPlaceCan."""

    name = "can"
    horizon = 250

    def make(self, *, wrap: Callable[[type], type] = lambda cls: cls, **options: Any) -> Any:
        """Build the raw environment."""
        from robosuite.environments.manipulation.pick_place import PickPlaceCan

        return wrap(PickPlaceCan)(**options)

    def goal(self, env: Any, *, rng: np.random.Generator, held_out: bool) -> str:
        return choose_wording(self.name, rng=rng, held_out=held_out)

    def roles(self, env: Any) -> Mapping[str, Label]:
        """Include the translucent can that marks the compartment: the bin has four, and only one counts."""
        return {CAN: Label.TARGET, BIN: Label.DESTINATION, MARKER: Label.DESTINATION}

    def success(self, env: Any) -> bool:
        return bool(env._check_success())

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        style = Style.draw(rng)
        yaw = NEUTRAL_YAW + rng.uniform(-YAW_SPREAD_RAD, YAW_SPREAD_RAD)
        release = RELEASE_M + rng.uniform(-RELEASE_SPREAD_M, RELEASE_SPREAD_M)
        steps = script(env, style=style, yaw_rad=yaw, release_m=release)
        return ScriptedExpert(env=env, script=steps, noise=style.noise, rng=rng)


def script(env: Any, *, style: Style, yaw_rad: float, release_m: np.ndarray) -> Iterator[Target]:
    """Yield targets forever: pick the can up, let it go in its compartment, and begin again if it is not there."""
    while True:
        grasp = lambda: Pose(  # noqa: E731
            body_pose(env, CAN).position + style.offset_m + np.array([0.0, 0.0, GRASP_ABOVE_CENTRE_M]),
            top_down(yaw_rad, tilt_rad=style.tilt_rad),
        )
        can = env.objects[env.object_id]
        held = yield from pick_up(env, model=can, grasp=grasp, lift_m=LIFT_M, style=style)
        if held:
            place = lambda: compartment(env) + release_m  # noqa: E731
            yield from release_at(
                env, model=can, body=CAN, place=place, rotation=top_down(yaw_rad), carry_m=CARRY_M, style=style
            )
        pose = hand_pose(env)
        while env._check_success():
            yield Target(pose, OPEN)


def compartment(env: Any) -> np.ndarray:
    """Return where the centre of a can that stands in the middle of its compartment is, m in the world."""
    return body_pose(env, MARKER).position
