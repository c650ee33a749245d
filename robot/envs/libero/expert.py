"""A scripted expert for LIBERO's goals of placing: grasp from above, carry, let go."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from robot.envs.builtin.motion import (
    CLOSED,
    OPEN,
    Manner,
    Pose,
    ScriptedExpert,
    Target,
    body_yaw,
    hand_pose,
    stay,
    top_down,
    travel,
)
from robot.envs.libero.grasping import HAND_REACH_M, extent, grasp_yaw, held
from robot.envs.libero.world import LiberoWorld
from robot.types import InputError

NEUTRAL_YAW = np.pi / 2  # fingers open along the robot's y axis at reset
CLEARANCE_M = 0.01  # of the fingertips above what a thing stands on
CLOSE_STEPS, OPEN_STEPS = 9, 6
LIFT_M, CARRY_M, RISE_M = 0.16, 0.05, 0.1
DROP_M = 0.015  # a thing is let go this far above where it will stand
PLACING = ("in", "on")


def make_expert(world: LiberoWorld, *, rng: np.random.Generator) -> ScriptedExpert:
    """Return an expert for the goal of the current episode."""
    [(predicate, target, destination)] = placing_goal(world)
    manner = Manner.draw(rng)
    steps = place(
        world, target=target, destination=destination, inside=predicate == "in", manner=manner
    )
    return ScriptedExpert(env=world.raw, script=steps, noise=manner.noise, rng=rng)


def placing_goal(world: LiberoWorld) -> list[tuple[str, str, str]]:
    """Return the predicate of the goal with its two arguments; InputError for another goal."""
    goals = world.problem.goals
    if len(goals) != 1 or goals[0][0] not in PLACING:
        raise InputError(
            f"no scripted expert for the goal {goals}, expected one thing to be put in or on "
            "another; choose a task of libero_object"
        )
    return [(goals[0][0], goals[0][1], goals[0][2])]


def place(
    world: LiberoWorld, *, target: str, destination: str, inside: bool, manner: Manner
) -> Iterator[Target]:
    """Yield targets forever: grasp the target, carry it over the destination, let it go; begin
    again where it is not there.
    """
    raw, body, goal = world.raw, world.body_of(target), world.body_of(destination)
    assert body is not None and goal is not None
    fast = manner.max_delta_m
    while True:
        yaw = grasp_yaw(world, body, neutral_rad=NEUTRAL_YAW)
        rotation = top_down(yaw, tilt_rad=0.5 * manner.tilt_rad)

        def grasp(yaw=yaw, rotation=rotation):
            return Pose(grasp_point(world, body, yaw_rad=yaw) + manner.offset_m, rotation)

        def hover(grasp=grasp):
            return grasp().at(np.array([0.0, 0.0, manner.hover_m]))

        yield from travel(raw, hover, gripper=OPEN, tolerance_m=0.025, max_delta_m=fast)
        yield from travel(
            raw, grasp, gripper=OPEN, tolerance_m=0.008, max_delta_m=fast, patience=30
        )
        yield from stay(raw, gripper=CLOSED, steps=CLOSE_STEPS)
        above = hand_pose(raw).at(np.array([0.0, 0.0, LIFT_M]))
        yield from travel(raw, lambda above=above: above, gripper=CLOSED, tolerance_m=0.02)
        if held(world) == body:
            yield from carry(world, body=body, goal=goal, inside=inside, max_delta_m=fast)
        pose = hand_pose(raw)
        while world.success():
            yield Target(pose, OPEN)


def grasp_point(world: LiberoWorld, body: str, *, yaw_rad: float) -> Float[np.ndarray, "3"]:
    """Return where the fingers close: in the middle of a body, near the top of a tall one."""
    box = extent(world, body, yaw_rad=yaw_rad)
    height = max(float(box.centre[2]), box.top - HAND_REACH_M, box.bottom + CLEARANCE_M)
    return np.array([box.centre[0], box.centre[1], height])


def carry(
    world: LiberoWorld, *, body: str, goal: str, inside: bool, max_delta_m: float
) -> Iterator[Target]:
    """Carry the held body over the goal's, lower it onto or into it, open and rise; stop as soon as
    it is lost. Steered by where the body is, so that a crooked grasp still puts it in place.
    """
    raw = world.raw
    rotation = top_down(body_yaw(hand_pose(raw)))

    def hand_for(height_m: float) -> Pose:
        thing, under = extent(world, body), extent(world, goal)
        floor = under.top if not inside else under.centre[2]
        wanted = np.array([under.centre[0], under.centre[1], floor + thing.half[2] + height_m])
        return Pose(hand_pose(raw).position + wanted - thing.centre, rotation)

    legs = ((DROP_M + CARRY_M + (0.08 if inside else 0.0), 0.02), (DROP_M, 0.012))
    for height_m, within_m in legs:
        for target in travel(
            raw,
            lambda height_m=height_m: hand_for(height_m),
            gripper=CLOSED,
            tolerance_m=within_m,
            max_delta_m=max_delta_m,
            patience=90,
        ):
            if held(world) != body:
                return
            yield target
    yield from stay(raw, gripper=OPEN, steps=OPEN_STEPS)
    above = hand_pose(raw).at(np.array([0.0, 0.0, RISE_M]))
    yield from travel(raw, lambda: above, gripper=OPEN, tolerance_m=0.02, patience=20)
