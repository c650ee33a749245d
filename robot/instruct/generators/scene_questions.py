"""Questions about things that are named by their relation to another one."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.attributes import other_words
from robot.instruct.generators.phrases import (
    Scene,
    absent_classes,
    nouns,
    pick,
    relation_text,
    scene_of,
    shuffled,
    spoken,
)
from robot.instruct.generators.relations import false_relations, known_axes
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame

TAKEN = 6  # references per frame


def _references(scene: Scene, rng: Rng) -> Iterator[tuple[Object, str, Object]]:
    """Yield (thing, relation, anchor): edges from a clear thing to a named one."""
    edges = [
        (scene.graph.by_id[r.head], r.name, scene.graph.by_id[r.tail])
        for r in scene.graph.relations
        if r.tail in scene.phrases and r.name not in ("touching", "grasped", "occludes", "blocks")
    ]
    return (edge for edge in shuffled(edges, rng)[: 4 * TAKEN] if edge[0] in scene.clear)


def _no_other(scene: Scene, thing: Object, name: str, anchor: Object, *, like) -> bool:
    """Return whether no other seen thing that may be `like` it may have the relation."""
    return not any(
        o is not thing and o is not anchor and like(o) and scene.holds(o, name, anchor) is not False
        for o in scene.seen
    )


@single_frame
def object_question(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what the thing with an attribute and a relation is."""
    scene = scene_of(graph)
    for thing, name, anchor in _references(scene, rng):
        for kind in thing.attributes:
            word = thing.word(kind)
            if word is None:
                continue

            def like(o: Object, kind=kind, word=word) -> bool:
                return kind not in o.attributes or word in o.attributes[kind]

            if not _no_other(scene, thing, name, anchor, like=like):
                continue
            others = [cls for cls in (*scene.counts, *absent_classes(scene)) if cls != thing.cls]
            yield Draft(
                slots={
                    "attribute": spoken(word),
                    "relation": relation_text(name),
                    "anchor": scene.phrase(anchor, rng),
                },
                answer=pick(nouns(thing.cls), rng)[0],
                wrong=[pick(nouns(cls), rng)[0] for cls in shuffled(others, rng)[:3]],
                answer_mask=((0, thing.id),),
                also=((0, anchor.id),),
            )


def _classes(scene: Scene, rng: Rng) -> Iterator[tuple[Object, str, Object]]:
    """Yield references that a class and a relation determine."""
    for thing, name, anchor in _references(scene, rng):
        if _no_other(scene, thing, name, anchor, like=lambda o, cls=thing.cls: o.cls == cls):
            yield thing, name, anchor


@single_frame
def relation_question(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask where a thing that is named by its relation to one thing is relative to another."""
    scene = scene_of(graph)
    for thing, name, anchor in _classes(scene, rng):
        others = [o for o in scene.named if o is not thing and o is not anchor]
        for b in shuffled(others, rng)[:1]:
            for alternatives, other in known_axes(scene, thing, b):
                yield Draft(
                    slots={
                        "thing": pick(nouns(thing.cls), rng)[0],
                        "relation": relation_text(name),
                        "anchor": scene.phrase(anchor, rng),
                        "alternatives": alternatives,
                        "b": scene.phrase(b, rng),
                    },
                    answer=relation_text(other),
                    wrong=false_relations(scene, thing, b, rng)[:3],
                    answer_mask=((0, thing.id),),
                    also=((0, anchor.id), (0, b.id)),
                )


@single_frame
def attribute_question(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask for an attribute of a thing that is named by its relation."""
    scene = scene_of(graph)
    for thing, name, anchor in _classes(scene, rng):
        for kind in thing.attributes:
            word = thing.word(kind)
            if word is not None:
                yield Draft(
                    slots={
                        "type": kind,
                        "thing": pick(nouns(thing.cls), rng)[0],
                        "relation": relation_text(name),
                        "anchor": scene.phrase(anchor, rng),
                    },
                    answer=spoken(word),
                    wrong=other_words(kind, spoken(word), rng),
                    answer_mask=((0, thing.id),),
                    also=((0, anchor.id),),
                )
