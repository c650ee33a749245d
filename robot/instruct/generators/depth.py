"""What is nearer, by pixels, by things, and to other things."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robot.instruct.generators.objects import extreme
from robot.instruct.generators.phrases import TRIES, Scene, listed, point_text, scene_of, shuffled
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.relations import EPSILON_M

RELATIVE_EPSILON = 0.05  # of the depths' range where they have no unit


def _epsilon(graph: SceneGraph, depths: np.ndarray) -> float:
    return EPSILON_M if graph.metric else RELATIVE_EPSILON * float(np.ptp(depths))


def _points(graph: SceneGraph, rng: Rng, *, sign: int) -> Iterator[Draft]:
    """Ask which of two to four pixels is nearest (sign 1) or farthest (-1)."""
    depth = graph.depth_m
    if depth is None:
        return
    epsilon = _epsilon(graph, depth[np.isfinite(depth)])
    for _ in range(TRIES):
        size = 2 + int(rng.random() * 3)
        places = (rng.random(size) * depth.size).astype(int)
        depths = sign * depth.ravel()[places]
        first, second = np.sort(depths)[:2]
        # with ties, or less than epsilon apart, no point is the answer
        if not np.isfinite(depths).all() or not second - first >= epsilon:
            continue
        points = [(int(p) % depth.shape[1], int(p) // depth.shape[1]) for p in places]
        answer = points[int(depths.argmin())]
        texts = [point_text(*p) for p in points]
        yield Draft(
            slots={"candidates": listed(texts)},
            answer=point_text(*answer),
            wrong=shuffled([t for t in texts if t != point_text(*answer)], rng),
            answer_points=((0, *answer),),
            margin=float(second - first),
            unit="m" if graph.metric else "",
        )


@single_frame
def closer_point(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which point is closest to the camera."""
    return _points(graph, rng, sign=1)


@single_frame
def farther_point(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which point is farthest from the camera."""
    return _points(graph, rng, sign=-1)


def _objects(graph: SceneGraph, rng: Rng, *, sign: int) -> Iterator[Draft]:
    scene = scene_of(graph)
    things = [o for o in scene.named if o.depth_m is not None]
    if len(things) < 2:
        return iter(())
    depths = np.array([o.depth_m[2] for o in things if o.depth_m is not None])
    return extreme(
        scene,
        rng,
        key=lambda o: sign * (o.depth_m or (0, 0, 0))[2],
        epsilon=_epsilon(graph, depths),
        unit="m" if graph.metric else "",
        among=things,
    )


@single_frame
def closer_object(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which thing is closest to the camera, by the median depth of what is seen of it."""
    return _objects(graph, rng, sign=1)


@single_frame
def farther_object(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which thing is farthest from the camera."""
    return _objects(graph, rng, sign=-1)


def _to_anchor(graph: SceneGraph, rng: Rng, *, sign: int) -> Iterator[Draft]:
    """Ask which thing is nearest to (sign 1) or farthest from (-1) another one."""
    scene = scene_of(graph)
    things = [o for o in scene.named if _place(scene, o.id) is not None]
    for anchor in things:
        origin = _place(scene, anchor.id)
        distances = {
            o.id: float(np.linalg.norm(np.subtract(_place(scene, o.id), origin)))  # type: ignore[arg-type]
            for o in things
            if o is not anchor
        }
        if len(distances) < 2:
            continue
        drafts = extreme(
            scene,
            rng,
            key=lambda o, distances=distances: sign * distances[o.id],
            epsilon=_epsilon(graph, np.array(list(distances.values()))),
            unit="m" if graph.metric else "",
            among=[o for o in things if o is not anchor],
            slots={"anchor": scene.phrase(anchor, rng)},
            also=(anchor,),
        )
        for _, draft in zip(range(2), drafts, strict=False):
            yield draft


def _place(scene: Scene, number: int) -> tuple[float, ...] | None:
    """Return the centre of a thing in the world [m]; where no pose is known, its depth alone."""
    o = scene.graph.by_id[number]
    if o.T_world_object is not None and o.centre_m is not None:
        return tuple(o.position_m.tolist())
    return None if o.depth_m is None else (o.depth_m[2],)


@single_frame
def closer_to_anchor(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which thing is closest to a named one, between centres."""
    return _to_anchor(graph, rng, sign=1)


@single_frame
def farther_from_anchor(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which thing is farthest from a named one."""
    return _to_anchor(graph, rng, sign=-1)
