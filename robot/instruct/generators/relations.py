"""Where things are relative to each other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from robot.instruct.generators.objects import shown
from robot.instruct.generators.phrases import (
    Scene,
    box_text,
    relation_text,
    scene_of,
    shuffled,
)
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import OPTIONS, Draft, Rng, single_frame
from robot.instruct.wording import vocabulary

PAIRS = 6  # per frame
PAIRS_KEPT = 4096  # whose relations are worked out once for all generators: some forty frames


@lru_cache(maxsize=PAIRS_KEPT)
def known_axes(scene: Scene, a: Object, b: Object) -> tuple[tuple[str, str], ...]:
    """Return (alternatives, relation) for every pair of opposites that decides where a is."""
    return tuple(_known_axes(scene, a, b))


def _known_axes(scene: Scene, a: Object, b: Object) -> Iterator[tuple[str, str]]:
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
    return shuffled(_false_relations(scene, a, b), rng)


@lru_cache(maxsize=PAIRS_KEPT)
def _false_relations(scene: Scene, a: Object, b: Object) -> tuple[str, ...]:
    names = (*vocabulary()["relations"], *stated_names(scene))
    return tuple(relation_text(n) for n in names if scene.holds(a, n, b) is False)


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


@lru_cache(maxsize=PAIRS_KEPT)
def lone_heads(scene: Scene, tail: Object) -> tuple[tuple[str, Object], ...]:
    """Return (relation, thing) where nothing else in the picture has the relation to `tail`."""
    names = (*vocabulary()["relations"], *stated_names(scene))
    found = ((name, scene.heads(name, tail)) for name in names)
    lone = ((name, heads[0]) for name, heads in found if heads is not None and len(heads) == 1)
    return tuple((name, head) for name, head in lone if head.id in scene.phrases)


@single_frame
def head_of_relation(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what the one thing with a relation to b is."""
    scene = scene_of(graph)
    for b in shuffled(scene.named, rng):
        for name, head in lone_heads(scene, b):
            others = [o for o in scene.named if o is not head and o is not b]
            margin, unit = margin_of(scene, head, name, b)
            yield Draft(
                slots={"relation": relation_text(name), "b": scene.phrase(b, rng)},
                answer=scene.phrase(head, rng),
                wrong=[scene.phrase(o, rng) for o in shuffled(others, rng)[: OPTIONS - 1]],
                answer_mask=shown((head,)),
                also=((0, b.id),),
                margin=margin,
                unit=unit,
            )
