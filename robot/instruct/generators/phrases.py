"""What the things of a graph may be called: computed once per graph, shared by all generators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

import numpy as np

from robot.instruct.graph import Box, Object, SceneGraph
from robot.instruct.relations import is_clear
from robot.instruct.wording import vocabulary

T = TypeVar("T")
COUNTED = ("object", "receptacle", "part")  # what questions are about
TRIES = 12  # of a generator that draws until something fits


class Phrase(NamedTuple):
    """A noun phrase: `text`, and what a thing must be for it to fit."""

    text: str
    cls: str
    word: str | None = None  # an attribute, "red"
    type: str | None = None  # of the attribute, "colour"


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.random() * len(options))]


def shuffled(options: Sequence[T], rng: np.random.Generator) -> list[T]:
    return [options[k] for k in rng.random(len(options)).argsort().tolist()]


def nouns(cls: str) -> list[list[str]]:
    """Return [singular, plural] of all names of a class, the plain one first."""
    return vocabulary()["nouns"].get(cls) or [[cls, f"{cls}s"]]


def spoken(word: str) -> str:
    """Return an attribute as it is said before a noun: "wooden" for wood."""
    return vocabulary()["attribute_words"].get(word, word)


def with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def listed(texts: Sequence[str], last: str = "or") -> str:
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}" if len(texts) > 1 else texts[0]


def box_text(box: Box) -> str:
    return f"[{box[0]}, {box[1]}, {box[2]}, {box[3]}]"


def point_text(x: int, y: int) -> str:
    return f"({x}, {y})"


class Scene:
    """Views of one graph: what is seen, what is clear, what every phrase refers to."""

    def __init__(self, graph: SceneGraph) -> None:
        self.graph = graph
        kinds = (*COUNTED, "marker")
        self.seen = [o for o in graph.objects if o.pixels > 0 and o.kind in kinds]
        self.clear = [o for o in self.seen if is_clear(o)]
        doubtful = [o for o in self.seen if not is_clear(o)]
        self.doubtful = {o.cls for o in doubtful}  # classes whose count is not sure
        self.counts = Counter(o.cls for o in self.clear)

    @cached_property
    def phrases(self) -> dict[int, tuple[Phrase, ...]]:
        """Return the phrases that refer to one clear thing and to nothing else that is seen."""
        every = Counter(o.cls for o in self.seen)
        found = {}
        for o in self.clear:
            mine = [Phrase(noun[0], o.cls) for noun in nouns(o.cls)] if every[o.cls] == 1 else []
            colour = o.colour
            if colour is not None and not any(
                x is not o and x.cls == o.cls and x.colour in (colour, None) for x in self.seen
            ):
                mine += [Phrase(f"{colour} {n[0]}", o.cls, colour, "colour") for n in nouns(o.cls)]
            if mine:
                found[o.id] = tuple(mine)
        return found

    @cached_property
    def named(self) -> list[Object]:
        """Return the clear things that a phrase refers to."""
        return [o for o in self.clear if o.id in self.phrases]

    def phrase(self, o: Object, rng: np.random.Generator) -> str:
        return pick(self.phrases[o.id], rng).text

    def fitting(self, phrase: Phrase) -> list[Object] | None:
        """Return the clear things that a phrase fits; None where it is not sure which."""
        if phrase.cls in self.doubtful:
            return None
        mine = [o for o in self.clear if o.cls == phrase.cls]
        if phrase.word is None or phrase.type is None:
            return mine
        if any(phrase.type not in o.attributes for o in mine):
            return None
        return [o for o in mine if phrase.word in map(spoken, o.attributes[phrase.type])]

    def only(self, phrase: Phrase) -> Object | None:
        """Return the one thing that a phrase fits; None where there is none, or no single one."""
        fits = self.fitting(phrase)
        return fits[0] if fits is not None and len(fits) == 1 else None

    def holds(self, head: Object, name: str, tail: Object) -> bool | None:
        """Return whether a relation holds; None where it is not known."""
        key = head.id, name, tail.id
        return True if key in self.stated else False if key in self.graph.denied else None

    @cached_property
    def stated(self) -> frozenset[tuple[int, str, int]]:
        """Return (head, name, tail) of all relations that hold."""
        return frozenset((r.head, r.name, r.tail) for r in self.graph.relations)

    def heads(self, name: str, tail: Object) -> tuple[Object, ...] | None:
        """Return all seen things of which a relation to `tail` holds; None where it is not sure."""
        key = name, tail.id
        if key not in self._heads:
            others = [o for o in self.seen if o is not tail]
            known = [self.holds(o, name, tail) for o in others]
            holding = tuple(o for o, holds in zip(others, known, strict=True) if holds)
            self._heads[key] = None if None in known else holding
        return self._heads[key]

    @cached_property
    def _heads(self) -> dict[tuple[str, int], tuple[Object, ...] | None]:
        return {}

    @cached_property
    def pairs(self) -> list[tuple[Object, Object]]:
        return [(a, b) for a in self.named for b in self.named if a is not b]

    @cached_property
    def places(self) -> dict[int, np.ndarray]:
        """Return the flat indices of the pixels of everything that is seen."""
        return {
            o.id: np.flatnonzero(o.mask)
            for o in self.graph.objects
            if o.pixels > 0 and o.mask is not None
        }

    def point_on(self, number: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return a random pixel (x, y) of a thing."""
        places = self.places[number]
        y, x = divmod(int(places[int(rng.random() * len(places))]), self.graph.camera.width)
        return x, y


@lru_cache(maxsize=64)
def scene_of(graph: SceneGraph) -> Scene:
    return Scene(graph)


def absent_classes(scene: Scene) -> list[str]:
    """Return classes that questions know and that are not in the picture."""
    seen = {o.cls for o in scene.seen}
    return [cls for cls in vocabulary()["absent"] if cls not in seen]


def attribute_phrases(scene: Scene, o: Object) -> Iterator[Phrase]:
    """Yield phrases of an attribute and a noun that fit a thing, though perhaps others, too."""
    for kind, words in o.attributes.items():
        for word in words:
            said = spoken(word)
            for noun in nouns(o.cls)[:1]:
                yield Phrase(f"{said} {noun[0]}", o.cls, said, kind)


def relation_text(name: str) -> str:
    return vocabulary()["relations"].get(name, name)
