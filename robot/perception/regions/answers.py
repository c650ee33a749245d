"""Questions about regions -> answers with a reason: both read off classifiers, and the reason says
which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from robot.perception.regions.everything import segment_everything
from robot.perception.regions.questions import SYNONYMS, Question, read_question
from robot.perception.regions.readings import Answer, Look, RegionReading
from robot.perception.regions.sentences import STATES
from robot.perception.regions.vocabulary import vocabulary
from robot.types import Region

if TYPE_CHECKING:
    from robot.perception.regions.reader import RegionReader

YES = 0.5


def answer(reader: RegionReader, look: Look, question: str) -> Answer:
    """Answer a question about the regions of a look. InputError where it is of no known kind."""
    asked = read_question(question)
    for index in asked.regions:
        look.position(index)
    text, reason, score = _ANSWERS[asked.kind](reader, look, asked)
    return Answer(text=text, reason=reason, score=float(score))


# --- one region

Said = tuple[str, str, float]


def _index(words: str) -> int:
    return int(words.split()[-1])


def _word(kind: str, missing: str) -> Callable[[RegionReader, Look, Question], Said]:
    """Return what answers with a region's word of one kind."""

    def answered(reader: RegionReader, look: Look, asked: Question) -> Said:
        index = _index(asked.words["a"])
        reading = look.readings[look.position(index)]
        word = reading.words[kind]
        if not word:
            return missing.format(index=index), f"region {index} is {_named(reading)}", 1.0
        text = word if asked.short else f"Region {index} is {STATES.get(word, word)}."
        return text, _read(reading, kind), reading.scores[kind]

    return answered


def _named(reading: RegionReading) -> str:
    return reading.caption if reading.visible else "not visible"


def _read(reading: RegionReading, *kinds: str) -> str:
    said = [
        f"{reading.words[kind]} ({reading.scores[kind]:.2f})"
        for kind in kinds
        if reading.words.get(kind)
    ]
    return f"region {reading.index} reads as {', '.join(said)}" if said else _named(reading)


def _what(reader: RegionReader, look: Look, asked: Question) -> Said:
    reading = look.readings[look.position(_index(asked.words["a"]))]
    text = reading.label or "nothing visible"
    text = text if asked.short else f"Region {reading.index} is {_named(reading)}."
    return text, _read(reading, "names", "colours", "parts"), reading.score


def _part(reader: RegionReader, look: Look, asked: Question) -> Said:
    reading = look.readings[look.position(_index(asked.words["a"]))]
    part, name = reading.words["parts"], reading.words["names"]
    if part == "whole":
        text = "the whole" if asked.short else f"Region {reading.index} is a whole {name}."
    else:
        text = part if asked.short else f"Region {reading.index} is the {part} of a {name}."
    return text, _read(reading, "parts", "names"), reading.scores.get("parts", 0.0)


def _where(reader: RegionReader, look: Look, asked: Question) -> Said:
    reading = look.readings[look.position(_index(asked.words["a"]))]
    placed = [r for r in reading.relations if r.relation != "part of"]
    if not placed:
        x0, y0, x1, y1 = reading.region.bounds
        height, width = look.frame.image.shape[:2]
        side = _third((x0 + x1) / 2 / width, ("on the left", "in the middle", "on the right"))
        row = _third((y0 + y1) / 2 / height, ("far from the camera", "", "near the camera"))
        text = " ".join(word for word in (side, row) if word)
        return f"Region {reading.index} is {text} of the picture.", "its place in the picture", 1.0
    said = ", ".join(f"{r.relation} region {r.other}" for r in placed)
    reason = ", ".join(f"{r.relation} region {r.other} ({r.score:.2f})" for r in placed)
    return f"Region {reading.index} is {said}.", reason, min(r.score for r in placed)


def _third(share: float, words: Sequence[str]) -> str:
    return words[min(2, int(3 * max(0.0, min(share, 0.999))))]


def _is_a(reader: RegionReader, look: Look, asked: Question) -> Said:
    index = _index(asked.words["a"])
    chance, reason = _agrees(reader, look, look.position(index), asked.words["words"])
    return ("Yes." if chance > YES else "No."), reason, max(chance, 1 - chance)


def _agrees(reader: RegionReader, look: Look, k: int, words: str) -> tuple[float, str]:
    """Return the probability that region `k` is what words say, and what that rests on."""
    reading, known = look.readings[k], vocabulary()
    for kind in ("states", "sizes", "materials"):
        wanted = {STATES[word]: word for word in STATES} | {
            word: word for word in known.words(kind)
        }
        word = wanted.get(words, "")
        if word in known.words(kind):
            same = reading.words[kind] == word
            score = reading.scores.get(kind, 1.0)
            return (score if same else 1 - score), _read(reading, kind)
    chance = float(reader.agreement(look, [words])[k, 0])
    return chance, f"{_read(reading, 'names', 'colours')}; {words!r} agrees with {chance:.2f}"


# --- several regions


def _candidates(look: Look, asked: Question, *, without: Sequence[int] = ()) -> list[int]:
    """Return the positions of the regions that a question compares: those it names, or all."""
    named = [look.position(index) for index in asked.regions]
    chosen = [k for k in named if k not in without]
    return chosen or [k for k in range(len(look.regions)) if k not in without]


def _reference(
    reader: RegionReader, look: Look, asked: Question, words: str
) -> tuple[Look, int | None, str]:
    """Find what a question compares with: "region 3" or "the plate" among the regions, or else
    among everything that the frame shows.
    """
    if match := re.fullmatch(r"region (\d+)", words):
        return look, look.position(int(match[1])), words
    named = {look.position(index) for index in asked.regions}
    chances = reader.agreement(look, [words])[:, 0]
    others = [k for k in np.argsort(-chances) if k not in named and chances[k] > YES]
    if others:
        return look, int(others[0]), f"the {words} (region {look.regions[others[0]].index})"
    segments = segment_everything(look.frame, reader, granularities=("object", "scene"))
    highest = max(region.index for region in look.regions)
    more = [_renumbered(segment.region, highest + k) for k, segment in enumerate(segments, start=1)]
    wider = reader.look(look.frame, [*look.regions, *more])
    chances = reader.agreement(wider, [words])[:, 0]
    chances[sorted(named)] = 0.0
    best = int(chances.argmax())
    return wider, (best if chances[best] > YES else None), f"the {words}"


def _renumbered(region: Region, index: int):
    return Region(region.camera, mask=region.mask, index=index)


def _by_distance(sign: int) -> Callable[[RegionReader, Look, Question], Said]:
    def answered(reader: RegionReader, look: Look, asked: Question) -> Said:
        words = asked.words["words"]
        wider, reference, called = _reference(reader, look, asked, words)
        if reference is None:
            return f"I do not see the {words}.", "nothing in the frame agrees with it", 0.0
        candidates = _candidates(look, asked, without=[reference])
        distances = [_apart_m(wider, k, reference) for k in candidates]
        order = np.argsort(np.array(distances) * sign)
        return _chosen(look, candidates, order, distances, asked, f"from {called}", unit="cm")

    return answered


def _apart_m(look: Look, one: int, other: int) -> float:
    """Return the distance on the table of two regions [m]: the mean of both directions."""
    there, back = look.offsets_m[one, other, :2], look.offsets_m[other, one, :2]
    return float(((there - back) / 2).norm())


def _chosen(
    look: Look,
    candidates: Sequence[int],
    order: np.ndarray,
    values: Sequence[float],
    asked: Question,
    of: str,
    *,
    unit: str,
) -> Said:
    best = look.regions[candidates[int(order[0])]].index
    scale = 100 if unit == "cm" else 1
    said = ", ".join(
        f"region {look.regions[candidates[k]].index} is about {scale * values[k]:.0f} {unit} {of}"
        for k in map(int, order)
    )
    clear = 1.0
    if len(order) > 1:
        first, second = (values[int(k)] for k in order[:2])
        clear = 0.5 + 0.5 * min(1.0, abs(first - second) / (abs(first) + abs(second) + 1e-6) * 2)
    text = f"region {best}" if asked.short else f"Region {best}, because {said}."
    return text, said, clear


def _by_size(sign: int) -> Callable[[RegionReader, Look, Question], Said]:
    def answered(reader: RegionReader, look: Look, asked: Question) -> Said:
        candidates = _candidates(look, asked)
        areas = [float(_area(look, k)) for k in candidates]
        sizes = vocabulary().sizes
        ranks = [
            sizes.index(word) if (word := look.readings[k].words["sizes"]) else 1
            for k in candidates
        ]
        order = np.lexsort((sign * np.array(areas), sign * np.array(ranks)))
        index = look.regions[candidates[int(order[0])]].index
        said = ", ".join(
            f"region {look.regions[candidates[k]].index} reads as "
            f"{look.readings[candidates[k]].words['sizes'] or 'of no size class'} and covers "
            f"{areas[k]:.0f} px"
            for k in map(int, order)
        )
        text = f"region {index}" if asked.short else f"Region {index}, because {said}."
        return text, said, look.readings[candidates[int(order[0])]].scores.get("sizes", 0.5)

    return answered


def _area(look: Look, k: int) -> float:
    region = look.regions[k]
    if region.mask is not None:
        return float(region.mask.sum())
    x0, y0, x1, y1 = region.bounds
    return (x1 - x0) * (y1 - y0)


def _by_side(sign: int) -> Callable[[RegionReader, Look, Question], Said]:
    def answered(reader: RegionReader, look: Look, asked: Question) -> Said:
        candidates = _candidates(look, asked)
        right = [float(look.offsets_m[k, candidates, 1].mean()) for k in candidates]
        order = np.argsort(np.array(right) * sign)
        index = look.regions[candidates[int(order[0])]].index
        said = ", ".join(
            f"region {look.regions[candidates[k]].index} lies {abs(100 * right[k]):.0f} cm "
            f"{'right' if right[k] > 0 else 'left'} of their middle"
            for k in map(int, order)
        )
        text = f"region {index}" if asked.short else f"Region {index}, because {said}."
        return text, said, 1.0

    return answered


def _which(reader: RegionReader, look: Look, asked: Question) -> Said:
    candidates = _candidates(look, asked)
    words = asked.words["words"]
    found = [(_agrees(reader, look, k, words)[0], look.regions[k].index) for k in candidates]
    said = ", ".join(f"region {index} agrees with {chance:.2f}" for chance, index in found)
    yes = [index for chance, index in found if chance > YES]
    if not yes:
        return "None of them.", said, 1 - max(chance for chance, _ in found)
    names = " and ".join(f"region {index}" for index in yes)
    score = max(chance for chance, _ in found)
    return (names if asked.short else f"{names.capitalize()}."), said, score


def _count(reader: RegionReader, look: Look, asked: Question) -> Said:
    words = (
        re.sub(r"s\b", "", asked.words["words"])
        if asked.words["words"].endswith("s")
        else (asked.words["words"])
    )
    candidates = _candidates(look, asked)
    chances = [_agrees(reader, look, k, words)[0] for k in candidates]
    yes = [look.regions[k].index for k, c in zip(candidates, chances, strict=True) if c > YES]
    said = f"regions {', '.join(map(str, yes))} agree with {words!r}" if yes else "none agrees"
    score = min(max(c, 1 - c) for c in chances)
    return str(len(yes)) + ("" if asked.short else "."), said, score


def _distance(reader: RegionReader, look: Look, asked: Question) -> Said:
    a, b = _index(asked.words["a"]), _index(asked.words["b"])
    apart = 100 * _apart_m(look, look.position(a), look.position(b))
    text = f"about {apart:.0f} cm"
    sentence = f"Region {a} and region {b} are {text} apart."
    return (text if asked.short else sentence), "their places on the table, as read", 1.0


def _between(reader: RegionReader, look: Look, asked: Question) -> Said:
    a, b = _index(asked.words["a"]), _index(asked.words["b"])
    chances = look.relations[look.position(a), look.position(b)]
    best = int(chances.argmax())
    relation = list(vocabulary().relations.values())[best]
    text = relation if asked.short else f"Region {a} is {relation} region {b}."
    return text, f"{relation} with {float(chances[best]):.2f}", float(chances[best])


def _related(reader: RegionReader, look: Look, asked: Question) -> Said:
    a, words = _index(asked.words["a"]), asked.words["words"]
    relation = SYNONYMS.get(asked.words["relation"], asked.words["relation"])
    k = list(vocabulary().relations.values()).index(relation)
    wider, reference, called = _reference(reader, look, asked, words)
    if reference is None:
        return f"I do not see the {words}.", "nothing in the frame agrees with it", 0.0
    chance = float(wider.relations[look.position(a), reference, k])
    reason = f"region {a} reads as {relation} {called} with {chance:.2f}"
    return ("Yes." if chance > YES else "No."), reason, max(chance, 1 - chance)


_ANSWERS: dict[str, Callable[[RegionReader, Look, Question], Said]] = {
    "closer": _by_distance(1),
    "farther": _by_distance(-1),
    "bigger": _by_size(-1),
    "smaller": _by_size(1),
    "leftmost": _by_side(1),
    "rightmost": _by_side(-1),
    "count": _count,
    "distance": _distance,
    "between": _between,
    "related": _related,
    "which": _which,
    "is_a": _is_a,
    "colour": _word("colours", "Region {index} has no colour of its own."),
    "material": _word("materials", "Region {index} has no material that I know."),
    "surface": _word("materials", "Region {index} has no material that I know."),
    "size": _word("sizes", "Region {index} is of no size class."),
    "state": _word("states", "Region {index} is in no state that I know."),
    "part": _part,
    "where": _where,
    "describe": _what,
    "what": _what,
}
