"""Pose arm and objects as some moment of an episode would, without simulating how it got there:
pictures to learn masks from.

Every picture then has objects, places, look and arm of its own, and costs an inverse-kinematics
solution instead of an episode's physics. What is approximate: the hand may touch clutter, a held
object sits in the fingers by construction.
"""

from __future__ import annotations

import numpy as np

from robot.envs.reaching import pointing_down, reach, refresh
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.expert import POINT_DOWN
from robot.envs.tabletop.placing import WORKSPACE, Placement
from robot.envs.tabletop.scene import Scene
from robot.envs.tabletop.world import TABLE_TOP_M, TabletopWorld

MOMENTS = {
    "home": 0.12,
    "travel": 0.13,
    "beside": 0.33,
    "grasp": 0.14,
    "held": 0.13,
    "placing": 0.15,
}  # shares of the pictures
TARGET_SHARE = 0.7  # the rest of the moments are about some other object: hands err
TOPPLED_SHARE = 0.12
LET_GO_SHARE = 0.3  # of the moments low over a destination: the fingers have opened
BESIDE_M, TRAVEL_HEIGHT_M, LIFTED_M = 0.035, (0.04, 0.30), 0.2
TILT_RAD, TURN_RAD = 0.06, 0.12


def stage(world: TabletopWorld, *, scene: Scene, rng: np.random.Generator) -> None:
    """Show `scene` at a random moment of an episode."""
    world.apply(scene)
    topple_some(world, scene=scene, rng=rng)
    focus = draw_focus(scene, rng=rng)
    pose(world, scene=scene, focus=focus, moment=draw_moment(focus, rng=rng), rng=rng)


def draw_moment(focus: Placement | None, *, rng: np.random.Generator) -> str:
    """Draw a moment about an object; without one the hand is at home."""
    if focus is None:
        return "home"
    return str(rng.choice(list(MOMENTS), p=list(MOMENTS.values())))


def pose(
    world: TabletopWorld,
    *,
    scene: Scene,
    focus: Placement | None,
    moment: str,
    rng: np.random.Generator,
) -> None:
    """Pose the hand, and what it holds, at a moment about an object of the scene that is shown."""
    gap = rng.uniform(0.5, 1.0)
    if focus is None or moment == "home":
        _set_arm(world, world.start_joints(scene))
    else:
        grip, over = _grip_point(focus), _point_over_destination(scene, focus)
        snug = min(1.0, _width_m(focus.body) / world.arm.gripper.stroke_m)
        goal, gap = _hand(moment, grip=grip, over=over, gap=gap, snug=snug, rng=rng)
        down = pointing_down(POINT_DOWN, tilt_rad=TILT_RAD, turn_rad=TURN_RAD, rng=rng)
        reach(world.mj_model, world.mj_data, world.arm, position=goal, rotation=down)
        if moment in ("held", "placing"):
            _carry(
                world,
                focus.body,
                offset=world.arm.grasp_point(world.mj_data) - grip + rng.normal(0.0, 0.004, 3),
            )
    _set_fingers(world, gap)
    refresh(world.mj_model, world.mj_data)


def draw_focus(scene: Scene, *, rng: np.random.Generator) -> Placement | None:
    """Draw the object that the hand is about: the target, or any other thing it could grasp."""
    graspable = [
        p
        for p in scene.placements
        if cat.body_names()[p.body] in (*cat.catalogue()["graspable"], "duck")
    ]
    if not graspable:
        return None
    target = [p for p in graspable if p.body == scene.target]
    if target and rng.random() < TARGET_SHARE:
        return target[0]
    return graspable[rng.integers(len(graspable))]


def _grip_point(focus: Placement) -> np.ndarray:
    return np.array(
        [focus.x, focus.y, TABLE_TOP_M + SHAPES[cat.body_names()[focus.body]].grasp_height]
    )


def _point_over_destination(scene: Scene, focus: Placement) -> np.ndarray | None:
    """Return where the finger tips are when the object has just been set down in the goal's
    destination, if it has one.
    """
    for placement in scene.placements:
        if placement.body == scene.destination:
            floor, height = (
                SHAPES[cat.body_names()[placement.body]].floor,
                SHAPES[cat.body_names()[focus.body]].grasp_height,
            )
            return np.array([placement.x, placement.y, TABLE_TOP_M + floor + height])
    return None


def _width_m(body: str) -> float:
    shape = cat.body_names()[body]
    return 2 * cat.HALF_WIDTH_M.get(shape, SHAPES[shape].radius)


def _hand(
    moment: str,
    *,
    grip: np.ndarray,
    over: np.ndarray | None,
    gap: float,
    snug: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Return where the finger tips are (world, m) and how open the fingers are (0..1).

    `grip` is where they grasp the object, `over` where they set it down; without a destination it
    is held instead of placed. `snug` is how open they are around it.
    """
    around = rng.normal(0.0, BESIDE_M, 2).clip(-0.08, 0.08)
    if moment == "travel":
        (x0, x1), (y0, y1) = WORKSPACE
        return np.array(
            [rng.uniform(x0, x1), rng.uniform(y0, y1), TABLE_TOP_M + rng.uniform(*TRAVEL_HEIGHT_M)]
        ), gap
    if moment == "beside":
        return grip + [*around, rng.uniform(0.0, 0.16)], gap
    if moment == "grasp":
        return grip + [*(around * 0.2), rng.uniform(-0.005, 0.03)], rng.uniform(snug, 1.0)
    if moment == "placing" and over is not None:
        height = (
            LIFTED_M * rng.uniform() ** 2
        )  # mostly low, where the destination fills the wrist camera
        let_go = height < 0.03 and rng.random() < LET_GO_SHARE
        return over + [*(around * 0.4), height], 1.0 if let_go else snug
    return grip + [*(around * 2.0), rng.uniform(0.0, LIFTED_M)], snug


def _set_arm(world: TabletopWorld, joints_rad: np.ndarray) -> None:
    world.mj_data.qpos[world.arm.joints] = joints_rad


def _set_fingers(world: TabletopWorld, gap: float) -> None:
    world.mj_data.qpos[world.arm.fingers] = world.arm.gripper.joints(gap)


def _carry(world: TabletopWorld, body: str, *, offset: np.ndarray) -> None:
    """Move a body along with the hand."""
    address = world.bodies[body].qpos_address
    world.mj_data.qpos[address : address + 3] += offset


def topple_some(world: TabletopWorld, *, scene: Scene, rng: np.random.Generator) -> None:
    """Lay a few upright things on their side."""
    data = world.mj_data
    for placement in scene.placements:
        shape = cat.body_names()[placement.body]
        if shape in ("cylinder", "cup", "tower", "duck") and rng.random() < TOPPLED_SHARE:
            a, half, heading = (
                world.bodies[placement.body].qpos_address,
                np.sqrt(0.5),
                rng.uniform(0, np.pi),
            )
            data.qpos[a + 2] = TABLE_TOP_M + cat.HALF_WIDTH_M.get(shape, SHAPES[shape].radius)
            data.qpos[a + 3 : a + 7] = (
                half * np.cos(heading),
                -half * np.sin(heading),
                half * np.cos(heading),
                half * np.sin(heading),
            )
