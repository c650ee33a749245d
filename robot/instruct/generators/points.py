"""Which pixels belong to one thing. Coordinates are whole pixels, so nothing is lost in writing."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.phrases import Scene, listed, point_text, scene_of, shuffled
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame


def points_elsewhere(scene: Scene, number: int, count: int, rng: Rng) -> list[tuple[int, int]]:
    """Return pixels of `count` other things."""
    others = [other for other in scene.places if other != number]
    return [scene.point_on(other, rng) for other in shuffled(others, rng)[:count]]


@single_frame
def same_object_point(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which of several points is on the thing at a point."""
    scene = scene_of(graph)
    for o in (o for o in scene.clear if o.id in scene.places):
        point, answer = scene.point_on(o.id, rng), scene.point_on(o.id, rng)
        others = points_elsewhere(scene, o.id, 1 + int(rng.random() * 3), rng)
        if point == answer or not others:
            continue
        texts = shuffled([point_text(*p) for p in (answer, *others)], rng)
        yield Draft(
            slots={"point": point_text(*point), "candidates": listed(texts)},
            answer=point_text(*answer),
            wrong=[point_text(*p) for p in others],
            answer_mask=((0, o.id),),
            answer_points=((0, *answer),),
        )


@single_frame
def different_object_point(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which of several points is not on the thing at a point."""
    scene = scene_of(graph)
    for o in (o for o in scene.clear if o.id in scene.places):
        point, *same = [scene.point_on(o.id, rng) for _ in range(2 + int(rng.random() * 3))]
        others = points_elsewhere(scene, o.id, 1, rng)
        if len({point, *same}) < 1 + len(same) or not others:
            continue
        texts = shuffled([point_text(*p) for p in (*same, *others)], rng)
        yield Draft(
            slots={"point": point_text(*point), "candidates": listed(texts)},
            answer=point_text(*others[0]),
            wrong=[point_text(*p) for p in same],
            also=((0, o.id),),
            answer_points=((0, *others[0]),),
        )
