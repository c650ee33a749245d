"""How a thing is told from others, said and read: "the second cup from the left".

read_related("pick up the ball left of the blue cup").related  # Related("left", ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from robot.words.items import Thing, items_of, words_of
from robot.words.phrases import noun_phrases
from robot.words.related import GRIPPER, Related, relation_words
from robot.words.request import Request, understand

STAND_IN = "relatedthing"  # a noun that no vocabulary has, in the place of the whole phrase
LONGEST = 5  # words of a noun phrase


@dataclass(frozen=True)
class RelatedGoal:
    """A goal about such a thing: `request` is what the sentence asks for with a stand-in as its
    target, which is there where the thing is to be taken.
    """

    related: Related
    request: Request

    @property
    def is_target(self) -> bool:
        target = self.request.target
        return target is not None and target.noun == STAND_IN


def say(
    related: Related,
    *,
    called: Callable[[Thing], str],
    held_out: bool,
    rng: np.random.Generator,
) -> str:
    """Return a noun phrase without its article; `called` names things with a noun."""
    words = relation_words()

    def one_of(options: Sequence[str]) -> str:
        kept = options[-1:] if held_out else options[:-1] or options
        return kept[int(rng.random() * len(kept))]

    noun = called(related.target) if related.target.noun else one_of(words["anything"])
    relation = related.relation
    if related.rank > 1:
        return f"{words['ordinals'][related.rank - 2]} {noun} {one_of(words['from'][relation])}"
    if related.anchor is None:
        before, after = words["before"][relation], words["after"].get(relation, ())
        if not after or rng.random() < 0.5:
            return f"{one_of(before)} {noun}"
        return f"{noun} {one_of(after)}"
    to = one_of(words["gripper"]) if related.anchor == GRIPPER else f"the {called(related.anchor)}"
    return f"{noun} {one_of(words['anchored'][relation])} {to}"


# --- read


@lru_cache(maxsize=1024)
def read_related(sentence: str) -> RelatedGoal | None:
    """Return the goal of a sentence that tells its object by such words; None where it has none."""
    words = words_of(sentence)
    for start, end, related in _found(words):
        rest = [*words[:start], "the", STAND_IN, *words[end:]]
        return RelatedGoal(related, understand(" ".join(rest)))
    return None


def _found(words: Sequence[str]) -> Iterator[tuple[int, int, Related]]:
    """Yield (start, end, meaning) of phrases, the longest first."""
    for length in range(len(words), 0, -1):
        for k in range(len(words) - length + 1):
            for kind, relation in _phrases().get(tuple(words[k : k + length]), ()):
                found = _READ[kind](words, k, k + length, relation)
                if found is not None:
                    yield found


def _anchored(words, start, end, relation) -> tuple[int, int, Related] | None:
    target = _before(words, start)
    anchor = _after(words, end, hand=relation in ("nearest", "farthest"))
    if target is None or anchor is None:
        return None
    return target[0], anchor[0], Related(relation, target[1], anchor[1])


def _adjective(words, start, end, relation) -> tuple[int, int, Related] | None:
    target = _after(words, end)
    return target and (_determined(words, start), target[0], Related(relation, target[1]))


def _last(words, start, end, relation) -> tuple[int, int, Related] | None:
    target = _before(words, start)
    return target and (target[0], end, Related(relation, target[1]))


def _counted(words, start, end, relation) -> tuple[int, int, Related] | None:
    """Read "second cup" before "from the left", and "cup that is second"."""
    ordinals = relation_words()["ordinals"]
    for k in range(start - 1, max(-1, start - 1 - LONGEST), -1):
        if words[k] not in ordinals:
            continue
        rank = ordinals.index(words[k]) + 2
        if k + 1 == start:
            target = _before(words, k)
            if target is not None:
                return target[0], end, Related(relation, target[1], rank=rank)
            target = _after(words, end)  # "the second from the left of the cups"
            if target is not None and words[end : end + 1] == ["of"]:
                return _determined(words, k), target[0], Related(relation, target[1], rank=rank)
            return _determined(words, k), end, Related(relation, Thing(), rank=rank)
        thing = _thing(words[k + 1 : start])
        if thing is not None:
            return _determined(words, k), end, Related(relation, thing, rank=rank)
    return None


_READ: dict[str, Callable] = {
    "anchored": _anchored,
    "before": _adjective,
    "after": _last,
    "from": _counted,
}


@cache
def _phrases() -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Return {words: [(kind of phrase, relation)]}."""
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for kind in _READ:
        for relation, phrases in relation_words()[kind].items():
            for phrase in phrases:
                found.setdefault(tuple(words_of(phrase)), []).append((kind, relation))
    return found


def _split(kind: str) -> list[list[str]]:
    return sorted((words_of(p) for p in relation_words()[kind]), key=len, reverse=True)


def _before(words: Sequence[str], end: int) -> tuple[int, Thing] | None:
    """Return (start, thing) of the noun phrase that ends at `end`, perhaps before "that is"."""
    for link in [*_split("links"), []]:
        stop = end - len(link)
        if stop < 1 or list(words[stop:end]) != link:
            continue
        if words[stop - 1] in relation_words()["whatever"]:
            return stop - 1, Thing()
        for start in range(max(0, stop - LONGEST), stop):
            if (thing := _thing(words[start:stop])) is not None:
                return _determined(words, start), thing
    return None


def _after(words: Sequence[str], start: int, *, hand: bool = False) -> tuple[int, Thing] | None:
    """Return (end, thing) of the noun phrase that begins at `start`, perhaps after "of (all)", or,
    with `hand`, of what stands for the gripper.
    """
    if hand:
        for gripper in _split("gripper"):
            if list(words[start : start + len(gripper)]) == gripper:
                return start + len(gripper), GRIPPER
    while not hand and words[start : start + 1] in (["of"], ["all"], ["the"], ["these"]):
        start += 1
    for end in range(min(len(words), start + LONGEST), start, -1):
        if (thing := _thing(words[start:end])) is not None:
            return end, thing
    return None


def _determined(words: Sequence[str], start: int) -> int:
    """Return where the article before a phrase begins."""
    return start - 1 if start and words[start - 1] in ("the", "that", "a", "an", "this") else start


def _thing(words: Sequence[str]) -> Thing | None:
    """Return what a noun phrase says if these words are one."""
    plain = [w for w in words if w not in ("the", "that", "a", "an", "this", "those", "these")]
    if len(plain) == 1 and plain[0].removesuffix("s") in relation_words()["anything"]:
        return Thing()
    items = noun_phrases(items_of(["the", *plain]))
    thing = items[0].thing if len(items) == 1 else None
    if thing is None or thing.unknown or thing.vague or not (thing.noun or thing.colour):
        return None
    return Thing(noun=thing.noun, colour=thing.colour)
