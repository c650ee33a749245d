"""robosuite's Door, latched: grip the handle, turn it down, pull the door open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from robot.envs.builtin.base import BuiltinTask, unwrapped
from robot.envs.builtin.motion import (
    CLOSED,
    OPEN,
    Manner,
    Pose,
    Script,
    ScriptedExpert,
    Target,
    body_pose,
    hand_pose,
    stay,
    travel,
)
from robot.envs.robots import gripper_of
from robot.envs.task import Wrap

DOOR, LATCH = "Door_door", "Door_latch"
HANDLE_M = np.array(
    [0.075, -0.10, 0.0]
)  # centre of the handle's bar in the latch body, from door_lock.xml
HINGE_M = np.array([0.255, 0.0, 0.0])  # the hinge in the door body, from door_lock.xml
# The hand in the latch body, as columns: fingers open along -z, palm looks along +y, into the door.
FACING = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
UNLATCHED_RAD = 1.25  # the latch's tip clears the frame at 1.16
OPEN_RAD = 0.38  # the hinge stops at 0.4, and success is 0.3
SETTLE_STEPS = 1  # after closing, before the handle is turned
LOST_M = 0.03  # a fingertip is 2 cm wide
LEAD_TURN_RAD, LEAD_PULL_RAD = (
    0.45,
    0.16,
)  # how far ahead of the joint the hand aims, which sets its force


class DoorTask(BuiltinTask):
    """robosuite's Door, with its latch; the door's body includes the handle."""

    name = "door"
    horizon = 300
    target = DOOR

    def make(self, *, wrap: Wrap = unwrapped, **options: Any) -> Any:
        """Build the raw environment."""
        from robosuite.environments.manipulation.door import Door

        return wrap(Door)(**options)

    def expert(self, env: Any, *, rng: np.random.Generator) -> ScriptedExpert:
        manner, grip = Manner.draw(rng), Grip.draw(rng)
        return ScriptedExpert(
            env=env, script=script(env, manner=manner, grip=grip), noise=manner.noise, rng=rng
        )


@dataclass(frozen=True)
class Grip:
    """How the hand holds the handle's bar."""

    along_m: float  # from the bar's centre toward its free end
    deep_m: float  # past the bar's middle, toward the door
    lean_rad: float  # of the palm above the horizontal

    @staticmethod
    def draw(rng: np.random.Generator) -> Grip:
        return Grip(
            along_m=rng.uniform(0.025, 0.045),
            deep_m=rng.uniform(0.0, 0.01),
            lean_rad=rng.uniform(-0.05, 0.15),
        )


def script(env: Any, *, manner: Manner, grip: Grip) -> Iterator[Target]:
    """Yield targets forever: grip, turn, pull, and begin again when the handle slips out."""
    while True:
        if (yield from grip_handle(env, manner=manner, grip=grip)) and (
            yield from turn(env, grip=grip)
        ):
            yield from pull(env, grip=grip)
        pose = hand_pose(env)
        while env._check_success():
            yield Target(pose, CLOSED)


def grip_handle(env: Any, *, manner: Manner, grip: Grip) -> Script:
    """Come from in front of the bar, straddle it and close."""

    def hover():
        return back_off(grip_pose(env, grip=grip), by_m=manner.hover_m)

    yield from travel(env, hover, gripper=OPEN, tolerance_m=0.02, max_delta_m=manner.max_delta_m)
    yield from travel(
        env,
        lambda: grip_pose(env, grip=grip),
        gripper=OPEN,
        tolerance_m=0.008,
        max_delta_m=manner.max_delta_m,
        patience=30,
    )
    yield from stay(env, gripper=CLOSED, steps=gripper_of(env).close_steps + SETTLE_STEPS)
    return not lost(env, grip=grip)


def turn(env: Any, *, grip: Grip) -> Script:
    """Turn the handle down until the latch clears the frame."""
    for _ in range(60):
        angle = latch_angle(env)
        if angle > UNLATCHED_RAD or hinge_angle(env) > 0.1:
            return True
        if lost(env, grip=grip):
            return False
        ahead = min(LEAD_TURN_RAD, UNLATCHED_RAD + 0.15 - angle)
        yield Target(grip_pose(env, grip=grip, turn_rad=ahead), CLOSED)
    return False


def pull(env: Any, *, grip: Grip) -> Script:
    """Swing the door about its hinge, keeping the handle down."""
    for _ in range(80):
        if hinge_angle(env) > OPEN_RAD:
            return True
        if lost(env, grip=grip):
            return False
        keep = UNLATCHED_RAD + 0.1 - latch_angle(env)
        yield Target(grip_pose(env, grip=grip, turn_rad=keep, swing_rad=LEAD_PULL_RAD), CLOSED)
    return False


def grip_pose(env: Any, *, grip: Grip, turn_rad: float = 0.0, swing_rad: float = 0.0) -> Pose:
    """Return the hand on the bar after the handle has turned by `turn_rad` and the door has swung
    by `swing_rad` more.

    The hand is rigid with the bar: palm facing the door, fingers above and below the bar. It rolls
    as the handle turns.
    """
    door, latch = body_pose(env, DOOR), body_pose(env, LATCH)
    axis = latch.rotation[:, 1]
    turning = Rotation.from_rotvec(turn_rad * axis).as_matrix() @ latch.rotation
    position = latch.position + turning @ (HANDLE_M + [grip.along_m, grip.deep_m, 0.0])
    rotation = turning @ Rotation.from_euler("x", -grip.lean_rad).as_matrix() @ FACING
    swing = Rotation.from_rotvec([0.0, 0.0, swing_rad]).as_matrix()
    hinge = door.position + door.rotation @ HINGE_M
    return Pose(hinge + swing @ (position - hinge), swing @ rotation)


def back_off(pose: Pose, *, by_m: float) -> Pose:
    """Return the hand drawn back along its palm's direction."""
    return pose.at(-by_m * pose.rotation[:, 2])


def lost(env: Any, *, grip: Grip) -> bool:
    """Return whether the hand has left the bar; fingertip contact flickers while the bar turns
    between the pads.
    """
    return bool(
        np.linalg.norm(hand_pose(env).position - grip_pose(env, grip=grip).position) > LOST_M
    )


def hinge_angle(env: Any) -> float:
    """Return how far the door is open, rad."""
    return float(env.sim.data.qpos[env.hinge_qpos_addr])


def latch_angle(env: Any) -> float:
    """Return how far the handle is turned down, rad."""
    return float(env.sim.data.qpos[env.handle_qpos_addr])
