"""Scenes of our own making from a suite's objects: other places on the floor, the hand at any
moment of an episode. Mask heads learn from them, and policies may; no layout of LIBERO-PRO is among
them but by chance.
"""

from __future__ import annotations

import mujoco
import numpy as np

from robot.envs.libero.grasping import extent
from robot.envs.libero.world import LiberoWorld
from robot.envs.reaching import pointing_down, reach, refresh
from robot.envs.tabletop.expert import POINT_DOWN
from robot.types import InputError

AREA_M = ((-0.25, 0.16), (-0.30, 0.14))  # of the things, along x and y
BASKET_SHIFT_M = 0.04
GAP_M = 0.02  # between the boxes around two things
TRIES = 200
MOMENTS = {"home": 0.1, "travel": 0.15, "beside": 0.35, "grasp": 0.2, "held": 0.2}  # shares
TARGET_SHARE = 0.7  # the rest of the moments are about some other thing
TRAVEL_HEIGHT_M, LIFTED_M, BESIDE_M = (0.06, 0.35), 0.25, 0.035
TILT_RAD, TURN_RAD = 0.1, 0.5


def rearrange(world: LiberoWorld, *, rng: np.random.Generator) -> None:
    """Put the objects of the scene elsewhere on the floor, turned about the vertical, clear of each
    other; the destination of the goal only a little.
    """
    taken: list[np.ndarray] = []  # low and high corners of boxes, seen from above
    fixed = {world.body_of(name) for goal in world.problem.goals for name in goal[2:]}
    bodies = [thing.root_body for thing in world.raw.objects_dict.values()]
    for body in sorted(bodies, key=lambda body: body not in fixed):
        taken.append(_place(world, body, shifted=body in fixed, taken=taken, rng=rng))
    mujoco.mj_forward(world.mj_model, world.mj_data)


def _place(
    world: LiberoWorld,
    body: str,
    *,
    shifted: bool,
    taken: list[np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Move one body to a free place; return the box around it, seen from above."""
    address = _address(world, body)
    pose = world.mj_data.qpos[address : address + 7]
    start = pose.copy()
    for _ in range(TRIES):
        pose[:] = start
        if shifted:
            pose[:2] += rng.uniform(-BASKET_SHIFT_M, BASKET_SHIFT_M, 2)
        else:
            pose[:2] = [rng.uniform(*side) for side in AREA_M]
            pose[3:] = turned(start[3:], yaw_rad=rng.uniform(-np.pi, np.pi))
        mujoco.mj_kinematics(world.mj_model, world.mj_data)
        around = extent(world, body)
        box = np.array([(around.centre - around.half)[:2], (around.centre + around.half)[:2]])
        if not any(_overlap(box, other) for other in taken):
            return box
    raise InputError(
        f"got no free place for {body} in {TRIES} tries, expected one on the floor; pass a suite "
        "whose things stand on the floor: libero_object"
    )


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one[0] < other[1] + GAP_M).all() and (other[0] < one[1] + GAP_M).all())


def turned(quaternion: np.ndarray, *, yaw_rad: float) -> np.ndarray:
    """Return a rotation (w, x, y, z) turned further about the vertical."""
    turn, result = np.zeros(4), np.zeros(4)
    mujoco.mju_axisAngle2Quat(turn, np.array([0.0, 0.0, 1.0]), yaw_rad)
    mujoco.mju_mulQuat(result, turn, quaternion)
    return result


def pose_hand(world: LiberoWorld, *, target: str | None, rng: np.random.Generator) -> None:
    """Pose the hand, and what it may hold, as at a random moment of an episode, without physics."""
    bodies = [
        thing.root_body
        for thing in world.raw.objects_dict.values()
        if min(extent(world, thing.root_body).half[:2]) < 0.05  # a hand can be about it
    ]
    chosen = target if target in bodies and rng.random() < TARGET_SHARE else None
    body = chosen or str(rng.choice(bodies))
    moment = str(rng.choice(list(MOMENTS), p=list(MOMENTS.values())))
    around = extent(world, body)
    grip = np.array([*around.centre[:2], max(around.centre[2], around.top - 0.045)])
    beside = rng.normal(0.0, BESIDE_M, 2).clip(-0.08, 0.08)
    opening = rng.uniform(0.5, 1.0)
    if moment == "home":
        world.mj_data.qpos[world.arm.joints] = world.arm.rest_rad + rng.normal(0.0, 0.03, 7)
    else:
        floor = around.bottom
        position = {
            "travel": np.array(
                [*(rng.uniform(*side) for side in AREA_M), floor + rng.uniform(*TRAVEL_HEIGHT_M)]
            ),
            "beside": grip + [*beside, rng.uniform(0.0, 0.2)],
            "grasp": grip + [*(0.2 * beside), rng.uniform(-0.005, 0.03)],
            "held": grip + [*(2.0 * beside), rng.uniform(0.0, LIFTED_M)],
        }[moment]
        if moment == "held" and rng.random() < 0.4:  # on the way to the goal's destination
            position[1] += rng.uniform(0.0, 0.3)
        down = pointing_down(POINT_DOWN, tilt_rad=TILT_RAD, turn_rad=TURN_RAD, rng=rng)
        reach(world.mj_model, world.mj_data, world.arm, position=position, rotation=down)
        if moment == "held":
            opening = min(1.0, 2 * min(around.half[:2]) / world.arm.gripper.stroke_m)
            address = _address(world, body)
            moved = world.arm.grasp_point(world.mj_data) - grip
            world.mj_data.qpos[address : address + 3] += moved
    world.mj_data.qpos[world.arm.fingers] = world.arm.gripper.joints(opening)
    refresh(world.mj_model, world.mj_data)


def _address(world: LiberoWorld, body: str) -> int:
    """Return where the free joint of a body stands in qpos."""
    joint = world.mj_model.body_jntadr[world.mj_model.body(body).id]
    return int(world.mj_model.jnt_qposadr[joint])
