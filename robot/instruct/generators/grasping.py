"""What the hand holds, what is in its way, and where it can take hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robot.instruct.generators.objects import shown
from robot.instruct.generators.phrases import Scene, point_text, scene_of, shuffled
from robot.instruct.generators.points import points_elsewhere
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame

NOTHING = "nothing"
EMPTY_SHARE = 0.3  # of the frames in which nothing is held, or in the way, are asked about
INSIDE_PX = 2  # between a point to grasp at and the edge of what is seen


def hand_of(graph: SceneGraph) -> tuple[tuple[int, int], ...]:
    """Return the gripper as a mask, where it is seen."""
    return shown([o for o in graph.objects if o.kind == "gripper" and o.pixels > 0])


def is_empty(graph: SceneGraph) -> bool:
    """Return whether nothing touches the fingers."""
    hands = [o.id for o in graph.objects if o.kind == "gripper"]
    things = [o.id for o in graph.objects if o.kind in ("object", "receptacle", "part")]
    return bool(hands) and all((i, "grasped", hands[0]) in graph.denied for i in things)


@single_frame
def held_object(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what the hand holds; nothing is an answer."""
    scene = scene_of(graph)
    hand = hand_of(graph)
    if graph.robot is None or not hand:
        return
    held = graph.robot.held
    if held is None:
        if is_empty(graph) and rng.random() < EMPTY_SHARE:
            wrong = [scene.phrase(o, rng) for o in shuffled(scene.named, rng)[:3]]
            yield Draft(slots={}, answer=NOTHING, wrong=wrong, also=hand)
        return
    if held in scene.phrases:
        others = [o for o in scene.named if o.id != held]
        wrong = [NOTHING, *(scene.phrase(o, rng) for o in shuffled(others, rng)[:2])]
        yield Draft(
            slots={},
            answer=scene.phrase(graph.by_id[held], rng),
            wrong=wrong,
            answer_mask=((0, held),),
            also=hand,
        )


@single_frame
def grasp_blocker(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what leaves a finger no room beside a thing; nothing is an answer."""
    scene = scene_of(graph)
    for o in scene.named:
        blockers = scene.heads("blocks", o)
        if blockers is None or o.kind != "object" or len(blockers) > 1:
            continue
        others = [x for x in scene.named if x is not o and x not in blockers]
        wrong = [scene.phrase(x, rng) for x in shuffled(others, rng)[:2]]
        if not blockers:
            if rng.random() < EMPTY_SHARE:
                yield Draft(
                    slots={"object": scene.phrase(o, rng)},
                    answer=NOTHING,
                    wrong=wrong,
                    also=((0, o.id),),
                )
        elif blockers[0].id in scene.phrases:
            yield Draft(
                slots={"object": scene.phrase(o, rng)},
                answer=scene.phrase(blockers[0], rng),
                wrong=[NOTHING, *wrong],
                answer_mask=shown(blockers),
                also=((0, o.id),),
            )


def _inside(scene: Scene, o: Object) -> np.ndarray:
    """Return the flat indices of the pixels that lie well within a thing."""
    assert o.mask is not None and o.box is not None
    x0, y0, x1, y1 = o.box
    mask = np.pad(o.mask[y0:y1, x0:x1], INSIDE_PX)
    inner = np.ones((y1 - y0, x1 - x0), bool)
    for dy in range(0, 2 * INSIDE_PX + 1, INSIDE_PX):
        for dx in range(0, 2 * INSIDE_PX + 1, INSIDE_PX):
            inner &= mask[dy : dy + y1 - y0, dx : dx + x1 - x0]
    rows, columns = np.nonzero(inner)
    return (rows + y0) * scene.graph.camera.width + columns + x0


@single_frame
def affordance_point(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask for a pixel where a thing can be grasped."""
    scene = scene_of(graph)
    for o in scene.named:
        if o.mask is None or (o.kind != "object" and o.cls != "door handle"):
            continue
        places = _inside(scene, o)
        if len(places) == 0:
            continue
        y, x = divmod(int(places[int(rng.random() * len(places))]), graph.camera.width)
        wrong = [point_text(*p) for p in points_elsewhere(scene, o.id, 3, rng)]
        yield Draft(
            slots={"object": scene.phrase(o, rng)},
            answer=point_text(x, y),
            wrong=wrong,
            answer_mask=((0, o.id),),
            answer_points=((0, x, y),),
        )
