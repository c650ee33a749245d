"""Which of several images shows something: always one, and only one, of them.

All of them draw a bounded number of times and then abstain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from robot.instruct.generators.phrases import (
    TRIES,
    Phrase,
    Scene,
    attribute_phrases,
    nouns,
    pick,
    relation_text,
    scene_of,
    shuffled,
    with_article,
)
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame

ASKED = 4  # questions per sequence
Graphs = Sequence[SceneGraph]


def image(number: int) -> str:
    """Return what question and answer call the image at an index."""
    return f"image {number + 1}"


def masks(scenes: Sequence[Scene], k: int, phrase: Phrase) -> tuple[tuple[int, int], ...]:
    return tuple((k, o.id) for o in scenes[k].fitting(phrase) or ())


def choice(
    scenes: Sequence[Scene],
    k: int,
    *,
    slots: dict[str, str],
    answer_mask: tuple[tuple[int, int], ...] = (),
    also: tuple[tuple[int, int], ...] = (),
    earliest: int = 0,
    rng: Rng,
) -> Draft:
    """Return a question whose answer is the image at index k, one from `earliest` on."""
    others = [image(j) for j in range(earliest, len(scenes)) if j != k]
    return Draft(
        slots=slots,
        answer=image(k),
        wrong=shuffled(others, rng)[:3],
        answer_mask=answer_mask,
        also=also,
        frames=tuple(range(len(scenes))),
    )


def only_index(values: Sequence[bool | None]) -> int | None:
    """Return where the one True among False is; None where any is unknown, or another number."""
    if any(value is None for value in values) or sum(map(bool, values)) != 1:
        return None
    return list(values).index(True)


def _presence(scenes: Sequence[Scene], phrase: Phrase) -> list[bool | None]:
    fits = [scene.fitting(phrase) for scene in scenes]
    return [None if f is None else bool(f) for f in fits]


def _opposite(values: Sequence[bool | None]) -> list[bool | None]:
    return [None if value is None else not value for value in values]


def _by_presence(
    graphs: Graphs, rng: Rng, phrases: Callable[[Scene, Rng], Iterator[Phrase]], *, has: bool
) -> Iterator[Draft]:
    scenes = [scene_of(g) for g in graphs]
    every = [phrase for scene in scenes for phrase in phrases(scene, rng)]
    taken = 0
    for phrase in shuffled(list(dict.fromkeys(every)), rng):
        present = _presence(scenes, phrase)
        k = only_index(present if has else _opposite(present))
        if k is None:
            continue
        shown = [part for j in range(len(scenes)) for part in masks(scenes, j, phrase)]
        yield choice(
            scenes,
            k,
            slots={"an_object": with_article(phrase.text)},
            answer_mask=masks(scenes, k, phrase),
            also=tuple(shown),
            rng=rng,
        )
        taken += 1
        if taken == ASKED:
            return


def _class_phrases(scene: Scene, rng: Rng) -> Iterator[Phrase]:
    return (Phrase(pick(nouns(cls), rng)[0], cls) for cls in scene.counts)


def _attributed_phrases(scene: Scene, rng: Rng) -> Iterator[Phrase]:
    return (phrase for o in scene.clear for phrase in attribute_phrases(scene, o))


@multi_frame("episodes", "views", "times")
def select_has_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows a thing of a class."""
    return _by_presence(graphs, rng, _class_phrases, has=True)


@multi_frame("episodes", "views", "times")
def select_has_not_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows none of a class that all others show."""
    return _by_presence(graphs, rng, _class_phrases, has=False)


@multi_frame("episodes", "views", "times")
def select_has_attributed(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows a thing of a class with an attribute."""
    return _by_presence(graphs, rng, _attributed_phrases, has=True)


@multi_frame("episodes", "views", "times")
def select_has_not_attributed(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows none of a class with an attribute that all others show."""
    return _by_presence(graphs, rng, _attributed_phrases, has=False)


def _related(scene: Scene, a: Phrase, name: str, b: Phrase) -> bool | None:
    """Return whether a scene shows a, with the relation, to b; a missing one is a no."""
    heads, tails = scene.fitting(a), scene.fitting(b)
    if heads is None or tails is None:
        return None
    if not heads or not tails:
        return False
    if len(heads) > 1 or len(tails) > 1 or heads[0] is tails[0]:
        return None
    return scene.holds(heads[0], name, tails[0])


def _by_relation(graphs: Graphs, rng: Rng, *, has: bool) -> Iterator[Draft]:
    scenes = [scene_of(g) for g in graphs]
    edges = [
        (scene, r)
        for scene in scenes
        for r in scene.graph.relations
        if r.head in scene.phrases and r.tail in scene.phrases and r.name in _said()
    ]
    taken = 0
    for scene, r in shuffled(edges, rng)[: 4 * TRIES]:
        a, b = pick(scene.phrases[r.head], rng), pick(scene.phrases[r.tail], rng)
        values = [_related(s, a, r.name, b) for s in scenes]
        if not has and not all(s.only(a) and s.only(b) for s in scenes):
            continue  # "not related" is said of things that are there
        k = only_index(values if has else _opposite(values))
        if k is None:
            continue
        yield choice(
            scenes,
            k,
            slots={
                "an_a": with_article(a.text),
                "a": a.text,
                "relation": relation_text(r.name),
                "b": b.text,
            },
            answer_mask=masks(scenes, k, a),
            also=masks(scenes, k, b),
            rng=rng,
        )
        taken += 1
        if taken == ASKED:
            return


def _said() -> tuple[str, ...]:
    return ("left", "right", "front", "behind", "robot_left", "robot_right", "near", "on", "in")


@multi_frame("episodes", "views", "times")
def select_has_relation(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask in which image two things have a relation."""
    return _by_relation(graphs, rng, has=True)


@multi_frame("episodes", "views", "times")
def select_has_not_relation(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask in which image two things lack a relation that they have in all others."""
    return _by_relation(graphs, rng, has=False)


def _ranked(graphs: Graphs, rng: Rng, *, most: bool) -> Iterator[Draft]:
    scenes = [scene_of(g) for g in graphs]
    every: Counter[str] = Counter()
    for scene in scenes:
        every |= scene.counts
    doubtful = {cls for scene in scenes for cls in scene.doubtful}
    for cls in shuffled([cls for cls in every if cls not in doubtful], rng)[:ASKED]:
        numbers = [scene.counts[cls] for scene in scenes]
        best = (max if most else min)(numbers)
        if numbers.count(best) != 1:
            continue
        k, phrase = numbers.index(best), Phrase("", cls)
        yield choice(
            scenes,
            k,
            slots={"objects": pick(nouns(cls), rng)[1]},
            answer_mask=masks(scenes, k, phrase),
            also=tuple(p for j in range(len(scenes)) for p in masks(scenes, j, phrase)),
            rng=rng,
        )


@multi_frame("episodes", "views", "times")
def most_of_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows the most of a class."""
    return _ranked(graphs, rng, most=True)


@multi_frame("episodes", "views", "times")
def least_of_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which image shows the fewest of a class."""
    return _ranked(graphs, rng, most=False)
