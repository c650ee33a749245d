"""Sentences about regions: "put <region1> on region 2", "pick up the red cup (<region1>)".

`asked_of(text)` says which region is the target and which the destination; what words name stays
words. A region that words describe too ("the red cup <region1>") keeps the description as its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from robot.errors import InputError
from robot.words.items import Thing, items_of, words_of
from robot.words.phrases import noun_phrases
from robot.words.reader import GoalReader
from robot.words.request import Understanding, understand
from robot.words.vocabulary import matching

MOST_REGIONS = 9  # that one goal can name
_TAG = re.compile(r"<\s*region\s*(\d+)\s*>|\bregion[\s#]*(\d+)\b", re.IGNORECASE)
_PHRASE = r"(?:the|a|an|this|that|my)\s+(?:(?!region\d)\w+\s+){0,3}?(?!region\d)\w+"
_NAMED_BEFORE = re.compile(rf"({_PHRASE})\s*[,(]?\s*(region\d)\b\s*\)?", re.IGNORECASE)
_NAMED_AFTER = re.compile(rf"\b(region\d)\s*[,(]\s*({_PHRASE})\s*(?:[,)]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What a sentence about regions asks for. A role is a region's index, or what words say of it;
    `named` is what words say of a region, by index. Where there is nothing to do, or it is not
    understood, there is no target, for `reason`.
    """

    target: int | Thing | None
    destination: int | Thing | None = None
    named: Mapping[int, Thing] = field(default_factory=dict)
    reason: str = ""


def indices_in(text: str) -> tuple[int, ...]:
    """Return the indices of the regions that a text refers to, in order of their first mention."""
    return tuple(dict.fromkeys(int(tag[1] or tag[2]) for tag in _TAG.finditer(text)))


def asked_of(text: str) -> Asked:
    """Return what a sentence asks for whose regions are written `<region1>` or "region 1".

    Raises InputError where it names a region beyond MOST_REGIONS.
    """
    if beyond := [index for index in indices_in(text) if not 1 <= index <= MOST_REGIONS]:
        raise InputError(
            f"got <region{beyond[0]}> in the goal, expected 1 to {MOST_REGIONS}: number the "
            "regions from 1"
        )
    plain = _TAG.sub(lambda tag: f"region{int(tag[1] or tag[2])}", text)
    named: dict[int, Thing] = {}

    def before(match: re.Match[str]) -> str:
        return _keep_name(match, phrase=match[1], region=match[2], named=named)

    def after(match: re.Match[str]) -> str:
        return _keep_name(match, phrase=match[2], region=match[1], named=named)

    plain = _NAMED_AFTER.sub(after, _NAMED_BEFORE.sub(before, plain))
    request = understand(plain)
    if request.status is not Understanding.UNDERSTOOD or request.target is None:
        return Asked(None, reason=f"{request.status.value}: {request.reason}")
    return Asked(
        target=_role(request.target),
        destination=None if request.destination is None else _role(request.destination),
        named=named,
    )


def sentences_of(asked: Asked, reader: GoalReader) -> tuple[str, ...]:
    """Return the sentences of a reader's vocabulary that stand for a request: several where the
    words leave the object open, none where they name what it does not have. A region goes by the
    name that words give it, or else by the vocabulary's first object: its place says which it is.
    """
    vocabulary = reader.vocabulary
    if asked.target is None:
        return ()
    if vocabulary is None:
        return (_in_words(asked),)
    targets = _options(asked.target, asked, vocabulary.targets)
    places: Sequence = (None,)
    if asked.destination is not None:
        places = _options(asked.destination, asked, vocabulary.destinations)
    return tuple(reader.sentence(target, place) for target, place in product(targets, places))


def _options(role: int | Thing, asked: Asked, known: Sequence) -> Sequence:
    if isinstance(role, Thing):
        return matching(known, role, excluded=())
    called = matching(known, asked.named.get(role, Thing()), excluded=())
    return (called or matching(known, Thing(), excluded=()))[:1]


def _in_words(asked: Asked) -> str:
    """Return a request in plain words, where no vocabulary says which."""

    def phrase(role: int | Thing | None) -> str:
        thing = role if isinstance(role, Thing) else asked.named.get(role or 0, Thing())
        return " ".join(word for word in (thing.colour, thing.noun or "object") if word)

    if asked.destination is None:
        return f"pick up the {phrase(asked.target)}"
    return f"put the {phrase(asked.target)} on the {phrase(asked.destination)}"


def _keep_name(match: re.Match[str], *, phrase: str, region: str, named: dict[int, Thing]) -> str:
    """Return the region alone where a noun phrase stands beside it, and keep the phrase."""
    items = noun_phrases(items_of(words_of(phrase)))
    if len(items) != 1 or items[0].thing is None:
        return match[0]
    named[int(region[len("region") :])] = items[0].thing
    return f"{region} "


def _role(thing: Thing) -> int | Thing:
    if thing.noun is not None and thing.noun.startswith("region"):
        return int(thing.noun[len("region") :])
    return thing
