"""Distances in centimetres, visible shares in per cent, states of what opens and closes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robot.instruct.generators.phrases import nouns, pick, scene_of, shuffled
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.relations import EPSILON_M, MIN_PIXELS

PAIRS = 6
FACTOR = 1.6  # between neighbouring options of a measured answer
CM = 100.0


def wrong_lengths(length_cm: int, rng: Rng) -> list[str]:
    """Return three lengths of a geometric row in which the right one stands at any place."""
    below = int(rng.random() * 4)
    factors = [FACTOR**k for k in range(-below, 4 - below) if k]
    return shuffled([f"{round(length_cm * factor)} cm" for factor in factors], rng)


@single_frame
def metric_distance(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask how far two things are apart, between the centres of their 3-D boxes."""
    scene = scene_of(graph)
    pairs = [(a, b) for a, b in scene.pairs if a.centre_m is not None and b.centre_m is not None]
    for a, b in shuffled(pairs, rng)[:PAIRS]:
        distance = float(np.linalg.norm(a.position_m - b.position_m))
        if distance < 4 * EPSILON_M:  # options have to differ by centimetres
            continue
        yield Draft(
            slots={"a": scene.phrase(a, rng), "b": scene.phrase(b, rng)},
            answer=f"{round(CM * distance)} cm",
            wrong=wrong_lengths(round(CM * distance), rng),
            answer_mask=((0, a.id), (0, b.id)),
            margin=distance,
            unit="m",
        )


@single_frame
def visible_fraction(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask how much of a thing is not hidden, to the next ten per cent."""
    scene = scene_of(graph)
    for o in scene.named:
        if o.visible_fraction is None:
            continue
        tenths = round(10 * o.visible_fraction)
        others = [k for k in range(1, 11) if abs(k - tenths) >= 3]
        yield Draft(
            slots={"object": scene.phrase(o, rng)},
            answer=f"{10 * tenths} %",
            wrong=[f"{10 * k} %" for k in shuffled(others, rng)[:3]],
            answer_mask=((0, o.id),),
            margin=o.visible_fraction,
            unit="1",
        )


@single_frame
def articulation_state(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask whether something that opens is open or closed; in between it is neither."""
    for o in graph.objects:
        state = o.word("state")
        if state is None or o.pixels < MIN_PIXELS:
            continue
        if sum(other.cls == o.cls for other in graph.objects) > 1:
            continue
        yield Draft(
            slots={"object": pick(nouns(o.cls), rng)[0]},
            answer=state,
            answer_mask=((0, o.id),),
            margin=None if o.joint is None else o.joint.opening,
            unit="1",
        )
