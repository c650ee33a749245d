"""How many of what there is, and what lies farthest to a side of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from robot.instruct.generators.phrases import (
    TRIES,
    Scene,
    absent_classes,
    listed,
    nouns,
    pick,
    scene_of,
    shuffled,
)
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.relations import EPSILON_PX

ABSENT = 3  # classes that are not there, asked for per frame


def counts_around(number: int, rng: Rng) -> list[str]:
    """Return wrong counts out of a run of four that holds the right one at any place."""
    start = max(0, number - int(rng.random() * 4))
    return shuffled([str(n) for n in range(start, start + 4) if n != number], rng)


def shown(objects: Sequence[Object], image: int = 0) -> tuple[tuple[int, int], ...]:
    return tuple((image, o.id) for o in objects)


@single_frame
def count_objects(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask how many of a class are seen; none of it is an answer, too."""
    scene = scene_of(graph)
    for cls in [*scene.counts, *shuffled(absent_classes(scene), rng)[:ABSENT]]:
        if cls in scene.doubtful:
            continue
        mine = [o for o in scene.clear if o.cls == cls]
        yield Draft(
            slots={"objects": pick(nouns(cls), rng)[1]},
            answer=str(len(mine)),
            wrong=counts_around(len(mine), rng),
            answer_mask=shown(mine),
            unit="1",
        )


def _ranked(graph: SceneGraph, rng: Rng, *, most: bool) -> Iterator[Draft]:
    """Ask which of several classes is seen most or least often."""
    scene = scene_of(graph)
    known = [cls for cls in scene.counts if cls not in scene.doubtful]
    absent = absent_classes(scene)
    for _ in range(TRIES):
        there = shuffled(known, rng)[: 2 + int(rng.random() * 2)]
        missing = shuffled(absent, rng)[: int(rng.random() * 2)]  # every other time one that is not
        chosen = shuffled([*there, *missing], rng)
        if len(chosen) < 2:
            continue
        number = {cls: scene.counts[cls] for cls in chosen}
        best = (max if most else min)(number.values())
        winners = [cls for cls in chosen if number[cls] == best]
        if len(winners) != 1:
            continue
        names = {cls: pick(nouns(cls), rng)[1] for cls in chosen}
        yield Draft(
            slots={"candidates": listed(list(names.values()))},
            answer=names[winners[0]],
            wrong=[names[cls] for cls in chosen if cls != winners[0]],
            answer_mask=shown([o for o in scene.clear if o.cls == winners[0]]),
            also=shown([o for o in scene.clear if o.cls in names]),
            unit="1",
        )


@single_frame
def most_frequent(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which class is seen more often than all the others."""
    return _ranked(graph, rng, most=True)


@single_frame
def least_frequent(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which class is seen less often than all the others."""
    return _ranked(graph, rng, most=False)


def extreme(
    scene: Scene,
    rng: Rng,
    *,
    key: Callable[[Object], float],
    epsilon: float,
    unit: str,
    among: Sequence[Object] | None = None,
    slots: dict[str, str] | None = None,
    also: Sequence[Object] = (),
) -> Iterator[Draft]:
    """Ask which of two to four named things has the smallest key, by at least epsilon."""
    things = list(scene.named if among is None else among)
    if len(things) < 2:
        return
    keys = np.array([key(o) for o in things])
    for _ in range(TRIES):
        size = min(len(things), 2 + int(rng.random() * 3))
        order = rng.random(len(things)).argsort()[:size]
        first, second = np.sort(keys[order])[:2]
        if not second - first >= epsilon:
            continue
        winner = int(order[keys[order].argmin()])
        names = {int(k): scene.phrase(things[int(k)], rng) for k in order}
        yield Draft(
            slots={"candidates": listed([f"the {name}" for name in names.values()])}
            | (slots or {}),
            answer=names[winner],
            wrong=[name for k, name in names.items() if k != winner],
            answer_mask=((0, things[winner].id),),
            also=shown([*(things[k] for k in names), *also]),
            margin=float(second - first),
            unit=unit,
        )


@single_frame
def leftmost(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what lies farthest to the left, by the centres of boxes."""
    return extreme(
        scene_of(graph), rng, key=lambda o: o.centre_px[0], epsilon=EPSILON_PX, unit="px"
    )


@single_frame
def rightmost(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what lies farthest to the right."""
    return extreme(
        scene_of(graph), rng, key=lambda o: -o.centre_px[0], epsilon=EPSILON_PX, unit="px"
    )


@single_frame
def topmost(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what lies highest in the picture."""
    return extreme(
        scene_of(graph), rng, key=lambda o: o.centre_px[1], epsilon=EPSILON_PX, unit="px"
    )


@single_frame
def bottommost(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what lies lowest in the picture."""
    return extreme(
        scene_of(graph), rng, key=lambda o: -o.centre_px[1], epsilon=EPSILON_PX, unit="px"
    )
