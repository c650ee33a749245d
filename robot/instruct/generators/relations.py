"""Where things are relative to each other."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.objects import shown
from robot.instruct.generators.phrases import (
    Scene,
    box_text,
    relation_text,
    scene_of,
    shuffled,
)
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.wording import vocabulary

PAIRS = 6  # per frame


def known_axes(scene: Scene, a: Object, b: Object) -> Iterator[tuple[str, str]]:
    """Yield (alternatives, relation) for every pair of opposites that decides where a is."""
    asked = vocabulary()["asked"]
    for names in vocabulary()["opposites"]:
        for name in names:
            if scene.holds(a, name, b):
                yield asked[names[0]], name
    for r in scene.graph.relations_of.get((a.id, b.id), ()):
        if r.frame == "annotation":
            others = [n for n in stated_names(scene) if scene.holds(a, n, b) is False]
            if others:
                yield f"{r.name} or {others[0]}", r.name


def stated_names(scene: Scene) -> list[str]:
    """Return the names of relations that an annotation of the picture uses."""
    return sorted({r.name for r in scene.graph.relations if r.frame == "annotation"})


def false_relations(scene: Scene, a: Object, b: Object, rng: Rng) -> list[str]:
    """Return relations known not to hold from a to b."""
    names = [*vocabulary()["relations"], *stated_names(scene)]
    denied = [n for n in names if scene.holds(a, n, b) is False]
    return [relation_text(name) for name in shuffled(denied, rng)]


def margin_of(scene: Scene, a: Object, name: str, b: Object) -> tuple[float | None, str]:
    for r in scene.graph.relations_of.get((a.id, b.id), ()):
        if r.name == name:
            return r.margin, r.unit
    return None, ""


@single_frame
def relation_between(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask on which side of b the named a is."""
    scene = scene_of(graph)
    for a, b in shuffled(scene.pairs, rng)[:PAIRS]:
        for alternatives, name in known_axes(scene, a, b):
            margin, unit = margin_of(scene, a, name, b)
            yield Draft(
                slots={
                    "a": scene.phrase(a, rng),
                    "b": scene.phrase(b, rng),
                    "alternatives": alternatives,
                },
                answer=relation_text(name),
                wrong=false_relations(scene, a, b, rng),
                answer_mask=((0, a.id),),
                also=((0, b.id),),
                margin=margin,
                unit=unit,
            )


@single_frame
def relation_between_boxes(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask on which side of the thing in one box the thing in another is."""
    scene = scene_of(graph)
    pairs = [(a, b) for a in scene.clear for b in scene.clear if a is not b]
    for a, b in shuffled(pairs, rng)[:PAIRS]:
        for alternatives, name in known_axes(scene, a, b):
            margin, unit = margin_of(scene, a, name, b)
            yield Draft(
                slots={
                    "box_a": box_text(a.box or (0, 0, 0, 0)),
                    "box_b": box_text(b.box or (0, 0, 0, 0)),
                    "alternatives": alternatives,
                },
                answer=relation_text(name),
                wrong=false_relations(scene, a, b, rng),
                answer_mask=((0, a.id),),
                also=((0, b.id),),
                margin=margin,
                unit=unit,
            )


def heads(scene: Scene, name: str, tail: Object) -> list[Object] | None:
    """Return all seen things of which a relation to `tail` holds; None where it is not sure."""
    found = []
    for o in scene.seen:
        if o is tail:
            continue
        holds = scene.holds(o, name, tail)
        if holds is None:
            return None
        if holds:
            found.append(o)
    return found


@single_frame
def head_of_relation(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what the one thing with a relation to b is."""
    scene = scene_of(graph)
    for b in shuffled(scene.named, rng):
        for name in (*vocabulary()["relations"], *stated_names(scene)):
            found = heads(scene, name, b)
            if found is None or len(found) != 1 or found[0].id not in scene.phrases:
                continue
            others = [o for o in scene.named if o is not found[0] and o is not b]
            margin, unit = margin_of(scene, found[0], name, b)
            yield Draft(
                slots={"relation": relation_text(name), "b": scene.phrase(b, rng)},
                answer=scene.phrase(found[0], rng),
                wrong=[scene.phrase(o, rng) for o in shuffled(others, rng)],
                answer_mask=shown(found),
                also=((0, b.id),),
                margin=margin,
                unit=unit,
            )
