"""What colour, material, size or state things have."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.objects import counts_around, shown
from robot.instruct.generators.phrases import (
    Phrase,
    attribute_phrases,
    box_text,
    nouns,
    pick,
    scene_of,
    shuffled,
    spoken,
)
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.wording import vocabulary


def other_words(kind: str, word: str, rng: Rng) -> list[str]:
    """Return the other words of a type of attribute, in random order."""
    known = vocabulary()["attributes"].get(kind, [])
    return shuffled([other for other in known if other != word], rng)


@single_frame
def count_attributed(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask how many of a class have an attribute, whatever others they have; none is an answer."""
    scene = scene_of(graph)
    for o in scene.clear:
        for phrase in attribute_phrases(scene, o):
            assert phrase.word is not None and phrase.type is not None
            words = [phrase.word, *other_words(phrase.type, phrase.word, rng)[:1]]
            for word in words:
                asked = Phrase("", o.cls, word, phrase.type)
                mine = scene.fitting(asked)
                if mine is None:
                    continue
                yield Draft(
                    slots={"objects": f"{word} {pick(nouns(o.cls), rng)[1]}"},
                    answer=str(len(mine)),
                    wrong=counts_around(len(mine), rng),
                    answer_mask=shown(mine),
                    unit="1",
                )


def _all_words(o: Object) -> list[tuple[str, str]]:
    return [(kind, spoken(word)) for kind, words in o.attributes.items() for word in words]


@single_frame
def attributes_at_box(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask for all attributes of the thing in a box."""
    for o in scene_of(graph).clear:
        words = _all_words(o)
        if not words:
            continue
        answer = ", ".join(word for _, word in words)
        wrong = []
        for k, (kind, word) in enumerate(words):
            for other in other_words(kind, word, rng)[:2]:
                wrong.append(", ".join(other if j == k else w for j, (_, w) in enumerate(words)))
        yield Draft(
            slots={"object": pick(nouns(o.cls), rng)[0], "box": box_text(o.box or (0, 0, 0, 0))},
            answer=answer,
            wrong=shuffled(wrong, rng),
            answer_mask=((0, o.id),),
        )


@single_frame
def typed_attribute_at_box(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask for one type of attribute of the thing in a box."""
    for o in scene_of(graph).clear:
        for kind in o.attributes:
            word = o.word(kind)
            if word is None:
                continue
            yield Draft(
                slots={
                    "type": kind,
                    "object": pick(nouns(o.cls), rng)[0],
                    "box": box_text(o.box or (0, 0, 0, 0)),
                },
                answer=spoken(word),
                wrong=other_words(kind, spoken(word), rng),
                answer_mask=((0, o.id),),
            )
