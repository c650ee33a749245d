"""Names for regions, and regions for names."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.objects import shown
from robot.instruct.generators.phrases import (
    Phrase,
    Scene,
    absent_classes,
    box_text,
    nouns,
    pick,
    scene_of,
    shuffled,
    with_article,
)
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame
from robot.instruct.relations import EPSILON_PX
from robot.instruct.wording import vocabulary

ORDINALS = ("first", "second", "third", "fourth", "fifth")
ASKED = 4  # yes/no questions per frame


def _name(o: Object, rng: Rng) -> str:
    noun = pick(nouns(o.cls), rng)[0]
    return f"{o.colour} {noun}" if o.colour is not None else noun


@single_frame
def region_naming(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what is in a box; wrong answers are other things, or the same in another colour."""
    scene = scene_of(graph)
    for o in scene.clear:
        others = [x for x in scene.clear if x.cls != o.cls]
        wrong = [_name(x, rng) for x in shuffled(others, rng)[:2]]
        colours = sorted({x.colour for x in scene.clear if x.colour not in (None, o.colour)})
        if o.colour is not None and colours:
            wrong.append(f"{pick(colours, rng)} {pick(nouns(o.cls), rng)[0]}")
        yield Draft(
            slots={"box": box_text(o.box or (0, 0, 0, 0))},
            answer=_name(o, rng),
            wrong=list(dict.fromkeys(shuffled(wrong, rng))),
            answer_mask=((0, o.id),),
        )


def ordinal_phrases(scene: Scene, cls: str) -> dict[int, list[str]]:
    """Return {id: phrases} that count the things of a class from the left and from the right."""
    if scene.counts[cls] < 2 or cls in scene.doubtful or scene.counts[cls] > len(ORDINALS):
        return {}
    row = sorted((o for o in scene.clear if o.cls == cls), key=lambda o: o.centre_px[0])
    gaps = [b.centre_px[0] - a.centre_px[0] for a, b in zip(row, row[1:], strict=False)]
    if min(gaps) < EPSILON_PX:
        return {}
    noun = nouns(cls)[0][0]
    found = {}
    for k, o in enumerate(row):
        back = len(row) - 1 - k
        left = f"leftmost {noun}" if k == 0 else f"{ORDINALS[k]} {noun} from the left"
        right = f"rightmost {noun}" if back == 0 else f"{ORDINALS[back]} {noun} from the right"
        found[o.id] = [left, right]
    return found


@single_frame
def unique_referring(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask for words that fit the thing in a box and nothing else."""
    scene = scene_of(graph)
    by_id: dict[int, list[str]] = {o.id: [p.text for p in scene.phrases[o.id]] for o in scene.named}
    for cls in scene.counts:
        for number, phrases in ordinal_phrases(scene, cls).items():
            by_id[number] = [*by_id.get(number, []), *phrases]
    for number, phrases in by_id.items():
        o = graph.by_id[number]
        wrong = [pick(texts, rng) for other, texts in by_id.items() if other != number]
        if scene.counts[o.cls] > 1:  # fits several
            wrong.append(nouns(o.cls)[0][0])
        for phrase in shuffled(phrases, rng)[:2]:
            yield Draft(
                slots={"box": box_text(o.box or (0, 0, 0, 0))},
                answer=phrase,
                wrong=shuffled(wrong, rng),
                answer_mask=((0, number),),
                also=shown([x for x in scene.clear if x.cls == o.cls]),
            )


@single_frame
def exists_yes_no(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask whether something is there: as often yes as no, and where it is not, no mask."""
    scene = scene_of(graph)
    colours = vocabulary()["attributes"]["colour"]
    for _ in range(ASKED):
        if not scene.clear:
            return
        near = pick(scene.clear, rng)
        if rng.random() < 0.45:  # the other answer abstains more often
            cls, word = near.cls, near.colour if rng.random() < 0.5 else None
            wanted = True
        else:  # another thing, or the same one in a colour that is not there
            absent = absent_classes(scene)
            cls, word = (pick(absent, rng), None) if rng.random() < 0.5 else (near.cls, "?")
            if word == "?" or rng.random() < 0.5:
                word = pick(colours, rng)
            wanted = False
        phrase = Phrase("", cls, word, "colour" if word else None)
        fits = scene.fitting(phrase)
        if fits is None or bool(fits) != wanted:
            continue
        noun = pick(nouns(cls), rng)[0]
        text = with_article(f"{word} {noun}" if word else noun)
        yield Draft(
            slots={"an_object": text}, answer="yes" if fits else "no", answer_mask=shown(fits)
        )
