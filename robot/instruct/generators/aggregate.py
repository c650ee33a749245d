"""What several images have in common, and how much of it they show together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robot.instruct.generators.attributes import other_words
from robot.instruct.generators.objects import counts_around
from robot.instruct.generators.phrases import (
    Phrase,
    Scene,
    absent_classes,
    attribute_phrases,
    nouns,
    pick,
    scene_of,
    shuffled,
    spoken,
)
from robot.instruct.generators.select import masks
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame

ASKED = 4
Graphs = Sequence[SceneGraph]


def _everywhere(scenes: Sequence[Scene], phrase: Phrase) -> tuple[tuple[int, int], ...]:
    return tuple(part for k in range(len(scenes)) for part in masks(scenes, k, phrase))


@multi_frame("episodes", "views", "times")
def common_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask for a kind of thing that every image shows; wrong ones are missing in at least one."""
    scenes = [scene_of(g) for g in graphs]
    doubtful = {cls for scene in scenes for cls in scene.doubtful}
    known = {cls for scene in scenes for cls in scene.counts} - doubtful
    common = sorted(cls for cls in known if all(scene.counts[cls] for scene in scenes))
    rest = sorted(known - set(common)) + [
        cls for cls in absent_classes(scenes[0]) if cls not in known | doubtful
    ]
    for cls in shuffled(common, rng)[:ASKED]:
        wrong = [*shuffled(rest, rng)[:3]]
        yield Draft(
            slots={},
            answer=pick(nouns(cls), rng)[0],
            wrong=[pick(nouns(other), rng)[0] for other in wrong],
            answer_mask=_everywhere(scenes, Phrase("", cls)),
            frames=tuple(range(len(scenes))),
        )


@multi_frame("episodes", "views", "times")
def common_attribute(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which attribute the only thing of a class has in every image."""
    scenes = [scene_of(g) for g in graphs]
    taken = 0
    for cls in shuffled(sorted(scenes[0].counts), rng):
        things = [scene.only(Phrase("", cls)) for scene in scenes]
        first = things[0]
        if first is None:
            continue
        for kind in first.attributes:
            words = [None if o is None else o.word(kind) for o in things]
            if words[0] is None or len(set(words)) != 1:
                continue
            yield Draft(
                slots={"type": kind, "object": pick(nouns(cls), rng)[0]},
                answer=spoken(words[0]),
                wrong=other_words(kind, spoken(words[0]), rng),
                answer_mask=_everywhere(scenes, Phrase("", cls)),
                frames=tuple(range(len(scenes))),
            )
            taken += 1
        if taken >= ASKED:
            return


def _counted(scenes: Sequence[Scene], phrase: Phrase, plural: str, rng: Rng) -> Iterator[Draft]:
    fits = [scene.fitting(phrase) for scene in scenes]
    if any(f is None for f in fits):
        return
    total = sum(len(f) for f in fits if f is not None)
    yield Draft(
        slots={"objects": plural},
        answer=str(total),
        wrong=counts_around(total, rng),
        answer_mask=_everywhere(scenes, phrase),
        frames=tuple(range(len(scenes))),
        unit="1",
    )


@multi_frame("episodes", "views", "times")
def count_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask how many of a class all images show together, each counted for itself."""
    scenes = [scene_of(g) for g in graphs]
    known = sorted({cls for scene in scenes for cls in scene.counts})
    for cls in [*shuffled(known, rng)[:ASKED], *shuffled(absent_classes(scenes[0]), rng)[:1]]:
        yield from _counted(scenes, Phrase("", cls), pick(nouns(cls), rng)[1], rng)


@multi_frame("episodes", "views", "times")
def count_attributed_object(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask how many of a class with an attribute all images show together."""
    scenes = [scene_of(g) for g in graphs]
    every = [p for scene in scenes for o in scene.clear for p in attribute_phrases(scene, o)]
    for phrase in shuffled(list(dict.fromkeys(every)), rng)[:ASKED]:
        plural = f"{phrase.word} {pick(nouns(phrase.cls), rng)[1]}"
        yield from _counted(scenes, phrase, plural, rng)
