"""What a text that the grammar does not read may ask for, as the judge reads it.

    open_candidates("honestly the crimson mug has my heart, over here with it", request)

For every object that the text names: the passages around it, in which it is "the red cup" and every
other object "the blue box". So the judge learns how people ask and not what for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from robot.words.items import Item, Thing, items_of, words_of
from robot.words.phrases import noun_phrases
from robot.words.request import UNKNOWN_WORDS, Request, Understanding

UNREAD_REASONS = ("no object to take", "no object", "a part that is not understood", UNKNOWN_WORDS)
LONGEST = 40  # phrases of a passage
BEFORE, AFTER = 26, 14  # phrases around a mention, in a sentence that is longer
MOST_UNKNOWN = 0.5  # of a text's words, else it is in no English


class Role(IntEnum):
    """What a word of a passage belongs to."""

    WORDS = 0
    CANDIDATE = 1
    OTHER = 2  # object


STANDS_FOR = {Role.CANDIDATE: "the red cup", Role.OTHER: "the blue box"}
Passage = tuple[tuple[str, Role], ...]  # phrases in order


@dataclass(frozen=True)
class Candidate:
    """An object that a text names, and the passages that name it."""

    thing: Thing
    passages: tuple[Passage, ...]


def open_candidates(text: str, request: Request) -> tuple[Candidate, ...]:
    """Return what a text may ask for; nothing where the grammar has read it, or refused it for
    what it says. Of one that it takes for a mere "leave the ball" what that does not cover.
    """
    items = noun_phrases(items_of(words_of(text)))
    reason = request.reason.split(";")[0].split(":")[0]
    if request.status is Understanding.NOTHING_TO_DO:
        stops = not request.excluded or any(item.is_a("stops") for item in items)
    else:
        stops = request.status is Understanding.UNDERSTOOD or reason not in UNREAD_REASONS
    if stops or _foreign(items) or (reason == UNKNOWN_WORDS and _names_a_stranger(items)):
        return ()
    return tuple(
        one
        for one in candidates_of(items)
        if not any(thing.fits(one.thing) for thing in request.excluded)
    )


def candidates_of(items: Sequence[Item]) -> tuple[Candidate, ...]:
    """Return the objects that a text names and the passages about each; "the cup" is the red cup
    that it names elsewhere, or gets its colour from "the red one".
    """
    named = dict.fromkeys(
        (item.thing.noun, item.thing.colour)
        for item in items
        if item.thing and _is_known(item) and (item.thing.colour or not item.thing.vague)
    )
    things = [
        Thing(noun=noun, colour=colour)
        for noun, colour in named
        if colour or not any(noun == other and has for other, has in named)
    ]
    mentions = [item.thing for item in items if item.thing and not item.thing.unknown]
    colours = {thing.colour for thing in mentions if not thing.noun and thing.colour}
    if colours := colours - {thing.colour for thing in things}:
        against = any(item.is_a("negations", "corrects", "stays") for item in items)
        clear = len(things) == len(colours) == 1 and not against
        of_one = colours.pop() if clear else None
        things = [replace(thing, colour=thing.colour or of_one) for thing in things]
        things = [thing for thing in things if thing.colour]  # which cup is "the red one"?
    return tuple(Candidate(thing, tuple(passages_of(items, thing))) for thing in things)


def passages_of(items: Sequence[Item], candidate: Thing) -> list[Passage]:
    """Return the sentences that name a candidate with their neighbours, as many as are short
    enough; of a longer sentence what stands around the mention.
    """
    sentences = _rendered(items, candidate)
    found: list[Passage] = []
    for k, sentence in enumerate(sentences):
        mentions = [n for n, (_, role) in enumerate(sentence) if role is Role.CANDIDATE]
        if not mentions:
            continue
        if len(sentence) > LONGEST:
            found += [tuple(sentence[max(0, n - BEFORE) : n + AFTER]) for n in mentions]
        else:
            found.append(tuple(_with_neighbours(sentences, k)))
    return list(dict.fromkeys(found))


def _with_neighbours(sentences: Sequence[list[tuple[str, Role]]], k: int) -> list[tuple[str, Role]]:
    first = last = k
    passage = list(sentences[k])
    grown = True
    while grown:
        grown = False
        if last + 1 < len(sentences) and len(passage) + len(sentences[last + 1]) <= LONGEST:
            last, grown = last + 1, True
            passage = passage + sentences[last]
        if first > 0 and len(passage) + len(sentences[first - 1]) <= LONGEST:
            first, grown = first - 1, True
            passage = sentences[first] + passage
    return passage


def _rendered(items: Sequence[Item], candidate: Thing) -> list[list[tuple[str, Role]]]:
    """Return a text's sentences with its objects replaced."""
    sentences: list[list[tuple[str, Role]]] = [[]]
    for item in items:
        sentences[-1] += _phrases(item, candidate)
        if item.mark and item.mark != "soft":
            sentences.append([])
    return [
        sentence
        for sentence in sentences
        if any(text[0].isalnum() or len(text) > 1 for text, _ in sentence)
    ]


def _phrases(item: Item, candidate: Thing) -> Iterator[tuple[str, Role]]:
    role, thing = Role.WORDS, item.thing
    if thing is not None and (after := _after_noun(item)) is not None:
        if thing.noun is None:
            same = thing.colour is not None and thing.colour == candidate.colour
        else:
            same = thing.fits(candidate)
        if thing.noun is not None or thing.colour is not None:
            role = Role.CANDIDATE if same else Role.OTHER
            yield STANDS_FOR[role], role
            yield from ((word, Role.WORDS) for word in after)
    if role is Role.WORDS:
        yield item.text.strip() or ".", role


def _after_noun(item: Item) -> tuple[str, ...] | None:
    """Return the unknown words after a phrase's noun: of "the cup tonight", but also "the cup
    holder", which the judge has to tell. None where unknown words stand elsewhere in it.
    """
    assert item.thing is not None
    unknown, words = " ".join(item.thing.unknown).split(), item.text.split()
    if not unknown:
        return ()
    trails = item.thing.noun is not None and len(words) > len(unknown)
    return tuple(unknown) if trails and words[-len(unknown) :] == unknown else None


def _is_known(item: Item) -> bool:
    return item.thing is not None and bool(item.thing.noun) and _after_noun(item) is not None


def _foreign(items: Sequence[Item]) -> bool:
    """Return whether a text is in another script or, for the most part, in no English."""
    words = " ".join(item.text for item in items if not item.mark).split()
    unknown = [item.text for item in items if item.is_a("unknown")]
    unknown += [word for item in items if item.thing for word in item.thing.unknown]
    scripts = any(not c.isascii() and c.isalpha() for word in words for c in word)
    return scripts or len(unknown) > MOST_UNKNOWN * len(words)


def _names_a_stranger(items: Sequence[Item]) -> bool:
    """Return whether an object that nobody knows stands in the sentence of one that is known, or in
    one that goes on with it: "Take the red cup. And the newspaper."
    """
    strange = known = ended = False
    for item in items:
        if ended and not item.is_a("and", "or", "but"):
            strange = known = False
        ended = bool(item.mark) and item.mark != "soft"
        if item.thing is not None:
            strange |= bool(item.thing.unknown) and not _is_known(item)
            known |= _is_known(item)
        if strange and known:
            return True
    return False
