"""robosuite's PickPlaceCan: move the soda can from the left bin into its compartment of the right
bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robot.envs.builtin.base import BuiltinTask, unwrapped
from robot.envs.builtin.grasp import pick_up, release_at
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

CAN, MARKER, BIN = "Can_main", "VisualCan_main", "bin2"
NEUTRAL_YAW = np.pi / 2  # fingers open along the robot's y axis at reset
YAW_SPREAD_RAD = 0.4  # the can is round: any finger direction grasps it
GRASP_ABOVE_CENTRE_M = 0.012  # the palm stays clear of the bin's walls
# Where the can is let go, relative to the centre of its compartment: the part that the arm reaches,
# clear of the dividers. The can drops the last 3 cm, so that opening fingers clear them too.
RELEASE_M, RELEASE_SPREAD_M = np.array([-0.045, -0.065, 0.03]), np.array([0.015, 0.02, 0.01])
UPRIGHT = 0.7  # cosine of the can's tilt
LIFT_M, CARRY_M = 0.14, 0.08  # the bins' walls rise 9 cm above the floor that the can stands on


class CanTask(BuiltinTask):
    """robosuite's PickPlaceCan."""

    name = "can"
    horizon = 250
    target = CAN
    destinations = (BIN, MARKER)

    def make(self, *, wrap: Wrap = unwrapped, **options: Any) -> Any:
        """Build the raw environment."""
        from robosuite.environments.manipulation.pick_place import PickPlaceCan

        return wrap(PickPlaceCan)(**options)

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        manner = Manner.draw(rng)
        yaw = NEUTRAL_YAW + rng.uniform(-YAW_SPREAD_RAD, YAW_SPREAD_RAD)
        release = RELEASE_M + rng.uniform(-RELEASE_SPREAD_M, RELEASE_SPREAD_M)
        steps = script(env, manner=manner, yaw_rad=yaw, release_m=release)
        return ScriptedExpert(env=env, script=steps, noise=manner.noise, rng=rng)


def script(env: Any, *, manner: Manner, yaw_rad: float, release_m: np.ndarray) -> Iterator[Target]:
    """Yield targets forever: pick the can up, let it go in its compartment, and begin again if it
    is not there.
    """
    can = env.objects[env.object_id]

    def grasp():
        return grasp_pose(body_pose(env, CAN), manner=manner, yaw_rad=yaw_rad)

    def place():
        return body_pose(env, MARKER).position + release_m

    while True:
        held = yield from pick_up(env, model=can, grasp=grasp, lift_m=LIFT_M, manner=manner)
        if held:
            yield from release_at(
                env,
                model=can,
                body=CAN,
                place=place,
                rotation=top_down(body_yaw(hand_pose(env))),
                carry_m=CARRY_M,
                tolerance_m=0.015,  # it is dropped: there is nothing to be precise about
                manner=manner,
            )
        pose = hand_pose(env)
        while env._check_success():
            yield Target(pose, OPEN)


def grasp_pose(can: Pose, *, manner: Manner, yaw_rad: float) -> Pose:
    """Return the hand over the can, fingers along `yaw_rad`; across the axis of a can that has
    fallen over.
    """
    axis = can.rotation[:, 2]
    if abs(axis[2]) > UPRIGHT:
        above = can.position + [0.0, 0.0, GRASP_ABOVE_CENTRE_M]
        return Pose(above + manner.offset_m, top_down(yaw_rad, tilt_rad=manner.tilt_rad))
    across = nearest_yaw(
        np.arctan2(axis[1], axis[0]) + np.pi / 2, to_rad=NEUTRAL_YAW, period_rad=np.pi
    )
    return Pose(can.position, top_down(across))
