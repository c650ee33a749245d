"""Whether two images agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robot.instruct.generators.phrases import Phrase, Scene, scene_of, shuffled
from robot.instruct.generators.relations import known_axes
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame

ASKED = 4
Graphs = Sequence[SceneGraph]


def both(graphs: Graphs, rng: Rng) -> tuple[int, int] | None:
    """Return two images in the order in which they were given."""
    if len(graphs) < 2:
        return None
    first, second = sorted(rng.random(len(graphs)).argsort()[:2].tolist())
    return first, second


def shared(one: Scene, two: Scene) -> list[tuple[Phrase, Object, Object]]:
    """Return the phrases that refer to one thing in either of two images."""
    every = dict.fromkeys(p for phrases in one.phrases.values() for p in phrases)
    found = [(phrase, one.only(phrase), two.only(phrase)) for phrase in every]
    return [(p, a, b) for p, a, b in found if a is not None and b is not None]


@multi_frame("episodes", "views", "times")
def compare_relation(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask whether a is on the same side of b in both images; as often yes as no."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    one, two = (scene_of(graphs[k]) for k in chosen)
    things = shared(one, two)
    pairs = [(a, b) for a in things for b in things if a[1] is not b[1] and a[2] is not b[2]]
    found: dict[bool, list[Draft]] = {True: [], False: []}
    for a, b in shuffled(pairs, rng):
        if min(map(len, found.values())) >= ASKED // 2:
            break
        now, then = dict(known_axes(one, a[1], b[1])), dict(known_axes(two, a[2], b[2]))
        for alternatives in sorted(now.keys() & then.keys()):
            same = now[alternatives] == then[alternatives]
            found[same].append(
                Draft(
                    slots={"a": a[0].text, "b": b[0].text, "alternatives": alternatives},
                    answer="yes" if same else "no",
                    answer_mask=((0, a[1].id), (1, a[2].id)),
                    also=((0, b[1].id), (1, b[2].id)),
                    frames=chosen,
                )
            )
    yield from _as_often(found, rng)


def _as_often(found: dict[bool, list[Draft]], rng: Rng) -> list[Draft]:
    """Return as many questions with a yes as with a no, in random order."""
    count = min(ASKED // 2, len(found[True]), len(found[False]))
    return shuffled(
        [d for answer in (True, False) for d in shuffled(found[answer], rng)[:count]], rng
    )


@multi_frame("episodes", "views", "times")
def compare_attribute(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask whether a thing has the same attribute in both images; as often yes as no."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    one, two = (scene_of(graphs[k]) for k in chosen)
    found: dict[bool, list[Draft]] = {True: [], False: []}
    for noun, a, b in _one_of_a_kind(one, two):
        for kind in a.attributes:
            if kind not in b.attributes:
                continue
            same = a.attributes[kind] == b.attributes[kind]
            draft = Draft(
                slots={"object": noun, "type": kind},
                answer="yes" if same else "no",
                answer_mask=((0, a.id), (1, b.id)),
                frames=chosen,
            )
            found[same].append(draft)
    yield from _as_often(found, rng)


def _one_of_a_kind(one: Scene, two: Scene) -> Iterator[tuple[str, Object, Object]]:
    """Yield what both images show one of: things, and the robot's hand."""
    for cls in one.counts:
        a, b = one.only(Phrase("", cls)), two.only(Phrase("", cls))
        if a is not None and b is not None:
            yield cls, a, b
    hands = [
        [o for o in scene.graph.objects if o.kind == "gripper" and o.pixels > 0]
        for scene in (one, two)
    ]
    if hands[0] and hands[1]:
        yield "gripper", hands[0][0], hands[1][0]
