"""What is different between two times of an episode, seen by one camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from robot.instruct.generators.compare import both, shared
from robot.instruct.generators.measures import CM, wrong_lengths
from robot.instruct.generators.phrases import scene_of, shuffled
from robot.instruct.generators.views import matched_boxes
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame
from robot.instruct.relations import EPSILON_M, EPSILON_PX

STILL_M = 0.01  # what has moved less has not moved
DIRECTIONS = ("left", "right", "up", "down")
CLEARLY = 2.0  # by this factor one axis has to win over the other
Graphs = Sequence[SceneGraph]


def _moves(one: Object, two: Object) -> float:
    """Return how far a thing has moved [m]."""
    return float(np.linalg.norm(two.position_m - one.position_m))


@multi_frame("times")
def what_moved(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask for the only thing that has moved; all others have clearly stayed."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    first, second = graphs[chosen[0]], graphs[chosen[1]]
    one, two = scene_of(first), scene_of(second)
    ids = [o.id for o in first.objects if o.kind in ("object", "receptacle", "part")]
    if any(first.by_id[i].centre_m is None or i not in second.by_id for i in ids):
        return
    ways = {i: _moves(first.by_id[i], second.by_id[i]) for i in ids}
    moved = [i for i, way in ways.items() if way >= EPSILON_M]
    if len(moved) != 1 or any(STILL_M < ways[i] < EPSILON_M for i in ids):
        return
    if moved[0] not in one.phrases or moved[0] not in {o.id for o in two.seen}:
        return
    others = [o for o in one.named if o.id != moved[0]]
    yield Draft(
        slots={},
        answer=one.phrase(first.by_id[moved[0]], rng),
        wrong=[one.phrase(o, rng) for o in shuffled(others, rng)[:3]],
        answer_mask=((0, moved[0]), (1, moved[0])),
        frames=chosen,
        margin=ways[moved[0]],
        unit="m",
    )


@multi_frame("times")
def motion_direction(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which way across the picture a thing has moved."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    one, two = (scene_of(graphs[k]) for k in chosen)
    for phrase, a, b in shuffled(shared(one, two), rng):
        if a.id != b.id:
            continue
        dx, dy = (q - p for p, q in zip(a.centre_px, b.centre_px, strict=True))
        far, near = max(abs(dx), abs(dy)), min(abs(dx), abs(dy))
        if far < EPSILON_PX or far < CLEARLY * near:
            continue
        across = ("right" if dx > 0 else "left") if abs(dx) > abs(dy) else None
        answer = across or ("down" if dy > 0 else "up")
        yield Draft(
            slots={"object": phrase.text},
            answer=answer,
            wrong=shuffled([d for d in DIRECTIONS if d != answer], rng),
            answer_mask=((0, a.id), (1, b.id)),
            frames=chosen,
            margin=far,
            unit="px",
        )


@multi_frame("times")
def displacement(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask how far a thing has moved in space."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    one, two = (scene_of(graphs[k]) for k in chosen)
    for phrase, a, b in shuffled(shared(one, two), rng):
        if a.id != b.id or a.centre_m is None:
            continue
        way = _moves(a, b)
        if way < EPSILON_M:
            continue
        yield Draft(
            slots={"object": phrase.text},
            answer=f"{round(CM * way)} cm",
            wrong=wrong_lengths(round(CM * way), rng) if way >= 3 * EPSILON_M else (),
            answer_mask=((0, a.id), (1, b.id)),
            frames=chosen,
            margin=way,
            unit="m",
        )


@multi_frame("times")
def track_instance(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask where what a box shows is later."""
    chosen = both(graphs, rng)
    if chosen is not None:
        yield from matched_boxes(graphs, chosen, rng)
