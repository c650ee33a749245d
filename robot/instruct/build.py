"""Raw arrays -> scene graph: boxes, depths, attributes, relations, what is held and achieved."""

from __future__ import annotations

import numpy as np

from robot.instruct.graph import (
    QUANTILES,
    Camera,
    GraphGoal,
    Object,
    Predicate,
    Relation,
    RobotState,
    SceneGraph,
)
from robot.instruct.raw import RawFrame, RawRobot, Thing
from robot.instruct.relations import relations_of

# Longest edge [m] up to which a thing is small, and from which it is large; between, and within
# SIZE_EPSILON_M of either, no word is sure.
SMALL_M, LARGE_M, SIZE_EPSILON_M = 0.06, 0.12, 0.005
OPEN_SHARE, CLOSED_SHARE = 0.7, 0.25  # of a joint's way: what is called open, and closed
LIFTED_M, LIFTED_EPSILON_M = 0.045, 0.02  # height of a lifted thing's lowest point above its table


def build_graph(raw: RawFrame) -> SceneGraph:
    """Return the scene graph of a frame."""
    alone = zip(raw.things, raw.alone, strict=True)
    objects = tuple(_object(raw, thing, mask) for thing, mask in alone)
    height, width = raw.segmentation.shape
    found, denied = relations_of(raw, objects)
    return SceneGraph(
        family=raw.family,
        episode=raw.episode,
        frame=raw.frame,
        time_s=raw.time_s,
        camera=Camera(raw.camera, width, height, raw.K, raw.T_world_camera),
        objects=objects,
        relations=found,
        denied=denied,
        robot=RobotState(
            T_world_base=raw.robot.T_world_base,
            T_world_ee=raw.robot.T_world_ee,
            opening=raw.robot.opening,
            held=held_by(raw.robot, raw.things),
        ),
        goal=_goal(raw, found),
        depth_m=raw.depth_m,
    )


def _object(raw: RawFrame, thing: Thing, alone: np.ndarray) -> Object:
    mask = raw.segmentation == thing.id
    pixels = int(mask.sum())
    box = depth = fraction = None
    if pixels:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        depth = tuple(float(q) for q in np.quantile(raw.depth_m[mask], QUANTILES))
    whole = int(alone.sum())
    if whole:
        fraction = min(1.0, pixels / whole)
    return Object(
        id=thing.id,
        cls=thing.cls,
        kind=thing.kind,
        attributes={k: (w,) for k, w in _attributes(raw, thing).items() if w is not None},
        mask=mask,
        box=box,
        pixels=pixels,
        visible_fraction=fraction,
        depth_m=depth,
        T_world_object=thing.T_world_thing,
        centre_m=thing.centre_m,
        half_m=thing.half_m,
        cavity_m=thing.cavity_m,
        joint=thing.joint,
    )


def _attributes(raw: RawFrame, thing: Thing) -> dict[str, str | None]:
    return {
        "colour": thing.colour,
        "material": thing.material,
        "size": _size(thing) if thing.kind in ("object", "receptacle") else None,
        "state": _state(raw, thing),
    }


def _size(thing: Thing) -> str | None:
    longest = 2 * float(thing.half_m.max())
    if min(abs(longest - SMALL_M), abs(longest - LARGE_M)) < SIZE_EPSILON_M:
        return None
    return "small" if longest < SMALL_M else "large" if longest > LARGE_M else "medium-sized"


def _state(raw: RawFrame, thing: Thing) -> str | None:
    """Return "open" or "closed"; a gripper is closed where it has closed on something."""
    if thing.joint is None:
        return None
    if thing.kind == "gripper" and held_by(raw.robot, raw.things) is not None:
        return "closed"
    opening = thing.joint.opening
    return "open" if opening > OPEN_SHARE else "closed" if opening < CLOSED_SHARE else None


def held_by(robot: RawRobot, things: tuple[Thing, ...]) -> int | None:
    """Return the one thing that both sides of the hand touch; None without one."""
    touched = [{i for i, s in robot.finger_contacts if s == side} for side in (0, 1)]
    movable = {t.id for t in things if t.kind in ("object", "receptacle", "part")}
    held = touched[0] & touched[1] & movable
    return next(iter(held)) if len(held) == 1 else None


def _goal(raw: RawFrame, relations: tuple[Relation, ...]) -> GraphGoal | None:
    if raw.goal is None:
        return None
    predicates = tuple(_predicates(raw, relations)) if len(raw.goal.targets) == 1 else ()
    holds = all(p.holds for p in predicates)
    agreed = bool(predicates) and holds == raw.goal.success
    return GraphGoal(
        text=raw.goal.text,
        kind=raw.goal.kind,
        targets=raw.goal.targets,
        destinations=raw.goal.destinations,
        predicates=predicates,
        satisfied=raw.goal.success if agreed else None,
    )


def _predicates(raw: RawFrame, relations: tuple[Relation, ...]):
    """Yield what has to hold for the goal, in the order in which it is achieved."""
    goal = raw.goal
    assert goal is not None
    things = {t.id: t for t in raw.things}
    target = goal.targets[0]
    if target not in things:
        return
    if goal.kind == "open":
        joint = things[target].joint
        if joint is not None:
            away = joint.opening - OPEN_SHARE
            yield Predicate("open", (target,), away > 0, min(1.0, abs(away) / (1 - OPEN_SHARE)))
        return
    grasped = target in {i for i, _ in raw.robot.finger_contacts}
    if goal.kind == "pick":
        tables = [t for t in raw.things if t.kind == "surface"]
        if tables:
            above = _lowest(things[target]) - _highest(tables[0]) - LIFTED_M
            yield Predicate("grasped", (target,), grasped, 1.0)
            yield Predicate("lifted", (target,), above > 0, min(1.0, abs(above) / LIFTED_EPSILON_M))
        return
    for destination in goal.destinations:
        placed = any(
            (r.head, r.tail) == (target, destination) and r.name in ("on", "in") for r in relations
        )
        yield Predicate("placed", (target, destination), placed, 1.0)
        yield Predicate("released", (target,), not grasped, 1.0)


def _lowest(thing: Thing) -> float:
    """Return the height of the lowest corner of a thing's box."""
    return _centre_z(thing) - _reach_z(thing)


def _highest(thing: Thing) -> float:
    return _centre_z(thing) + _reach_z(thing)


def _centre_z(thing: Thing) -> float:
    return float(thing.T_world_thing[2, :3] @ thing.centre_m + thing.T_world_thing[2, 3])


def _reach_z(thing: Thing) -> float:
    return float(np.abs(thing.T_world_thing[2, :3]) @ thing.half_m)
