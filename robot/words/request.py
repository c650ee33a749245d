"""What a sentence asks for: `understand("not the red one, the blue cup, please")`.

Words -> items (phrases and what they can be) -> noun phrases -> clauses -> one request, or none.
A clause that is not wholly understood is read loosely where that leaves no doubt (`loose.py`), else
it asks for nothing: better no action than a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from robot.words.clauses import Clause, clauses_of
from robot.words.events import UNREAD, Event, Kind, event_of
from robot.words.items import Item, Thing, items_of, words_of
from robot.words.loose import loosely
from robot.words.phrases import noun_phrases

UNKNOWN_WORDS = "unknown words"
MOST_NAMED = 5  # words that are not known, in a reason
TELLING = {"properties", "surroundings"}  # kinds of words that tell one thing from another


class Understanding(str, Enum):
    """Whether a sentence asks for something that can be done."""

    UNDERSTOOD = "understood"
    NOTHING_TO_DO = "nothing_to_do"  # it says stop, or what not to do
    NOT_UNDERSTOOD = "not_understood"


@dataclass(frozen=True)
class Request:
    """What is asked for, and why not where nothing is."""

    status: Understanding
    target: Thing | None = None
    destination: Thing | None = None
    excluded: tuple[Thing, ...] = ()
    reason: str = ""
    unheeded: tuple[str, ...] = ()  # "small", "left": words that were read and count for nothing


@lru_cache(maxsize=1024)
def understand(sentence: str) -> Request:
    """Return what a sentence, or a text of several, asks for."""
    items = items_of(words_of(sentence))
    request = _asked_by(clauses_of(noun_phrases(items)))
    if request.status is Understanding.UNDERSTOOD:
        return replace(request, unheeded=_texts(item for item in items if _tells_apart(item)))
    strange = ", ".join(_texts(item for item in items if item.is_a("unknown"))[:MOST_NAMED])
    if request.status is Understanding.NOTHING_TO_DO or not strange:
        return request
    if request.reason.startswith(UNKNOWN_WORDS):
        return request
    return replace(request, reason=f"{request.reason}; {UNKNOWN_WORDS}: {strange}")


def _texts(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.text for item in items))


def _tells_apart(item: Item) -> bool:
    """Return whether a word can only tell things apart, by what no vocabulary has."""
    kinds = {sense.kind for sense in item.senses}
    return bool(kinds & TELLING) and kinds <= {*TELLING, "modifiers", "taken", "placen"}


def _asked_by(clauses: Sequence[Clause]) -> Request:
    whole = _combine(clauses)
    if whole.status is not Understanding.NOT_UNDERSTOOD:
        return whole
    return _asked_between(clauses) or whole


def _asked_between(clauses: Sequence[Clause]) -> Request | None:
    """Return what a text asks for in sentences of its own, between others that tell a story; None
    where none does, they differ, or something after them, or about the same object, speaks against
    it.
    """
    by_sentence: dict[int, list[Clause]] = {}
    for clause in clauses:
        by_sentence.setdefault(clause.sentence, []).append(clause)
    if len(by_sentence) < 2:
        return None  # read as a whole already
    read = {k: _combine(group) for k, group in by_sentence.items()}
    asked = {k: request for k, request in read.items() if _demands(by_sentence[k], request)}
    for k in set(read) - set(asked):
        if (meant := _pointed_back(by_sentence[k], by_sentence.get(k - 1, ()))) is not None:
            asked[k] = Request(Understanding.UNDERSTOOD, meant)
    if not asked:
        return None
    later = [clause for clause in clauses if clause.sentence > max(asked)]
    if any(clause.join in ("and", "or", "but") and clause.items[0].thing for clause in later):
        return None  # "Pick up the red cup. And the newspaper."
    if any(item.is_a(*_RETRACTS) for clause in later for item in clause.items):
        return None
    first, *others = (asked[k] for k in sorted(asked))
    excluded = tuple(thing for request in read.values() for thing in request.excluded)
    places = {r.destination for r in asked.values()} - {None}
    assert first.target is not None
    target = first.target
    for other in others:
        assert other.target is not None
        if not target.fits(other.target) or len(places) > 1:
            return None
        target = _merged(target, other.target)
    if any(thing.fits(target) and (target.colour or not thing.colour) for thing in excluded):
        return None
    return Request(Understanding.UNDERSTOOD, target, next(iter(places), None), excluded)


def _pointed_back(clauses: Sequence[Clause], before: Sequence[Clause]) -> Thing | None:
    """Return the one thing that the sentence before names, where this one asks for "it"."""
    events = [event_of(clause) for clause in clauses]
    if not any(e.kind is Kind.TAKE and e.verb and e.target is None for e in events):
        return None
    if any(e.kind not in (Kind.TAKE, Kind.NOTHING) or e.destination for e in events):
        return None
    if any(item.is_a(*_RETRACTS) for clause in before for item in clause.items):
        return None
    named = {i.thing for clause in before for i in clause.items if i.thing and i.thing.noun}
    thing = named.pop() if len(named) == 1 else None
    return None if thing is None or thing.unknown or thing.vague else thing


_RETRACTS = ("stops", "corrects", "negations", "stays")


def _demands(clauses: Sequence[Clause], request: Request) -> bool:
    """Return whether a sentence asks, with a verb, for a thing that it names."""
    return request.status is Understanding.UNDERSTOOD and any(
        event.kind is Kind.TAKE and event.verb and _names(event)
        for clause in clauses
        for event in (event_of(clause), loosely(clause))
    )


@dataclass
class _Sum:
    wanted: list[tuple[Thing, Thing | None]]
    excluded: list[Thing]
    last: Thing | None = None
    stopped: bool = False
    trouble: str = ""


def _combine(clauses: Sequence[Clause]) -> Request:
    """Add up what the clauses ask for, in order."""
    events = [event_of(clause) for clause in clauses]
    if not any(event.kind in (Kind.TAKE, Kind.NAMED) and _names(event) for event in events):
        events = [
            replace(loosely(clause), all_things=event.all_things)
            if event.kind is Kind.UNREAD
            else event
            for clause, event in zip(clauses, events, strict=True)
        ]
    events = _without_statements(clauses, events)
    everything = [thing for event in events for thing in event.all_things]
    conditional = {
        clause.sentence
        for clause, event in zip(clauses, events, strict=True)
        if event.kind is Kind.CONDITION
    }
    total = _Sum(wanted=[], excluded=[])
    before: Event | None = None
    at = 0  # the sentence of `before`
    for clause, event in zip(clauses, events, strict=True):
        event = _with_nouns(event, everything)
        event = _continued(clause, event, before)
        asks = event.kind in (Kind.TAKE, Kind.NAMED)
        if asks and clause.sentence in conditional:
            total.trouble = "a condition that cannot be checked"
        elif (
            event.kind is Kind.UNREAD
            and event.all_things
            and _joined_to_request(clause, before, at)
        ):
            total.trouble = "a part that is not understood"
        _add(total, event)
        if event.kind is not Kind.NOTHING or event.target is not None:
            before, at = event, clause.sentence
    return _result(total)


def _names(event: Event) -> bool:
    return event.target is not None and bool(event.target.noun or event.target.colour)


def _without_statements(clauses: Sequence[Clause], events: Sequence[Event]) -> list[Event]:
    """Return the events, UNREAD where a clause begins with a thing that nobody knows ("my knees are
    not ...", "next on the sheet: ...") and another sentence, or what follows, has a verb of taking.
    """
    asking = [
        (clause.sentence, k)
        for k, (clause, event) in enumerate(zip(clauses, events, strict=True))
        if event.kind is Kind.TAKE and event.verb and _names(event)
    ]

    def tells(k: int, clause: Clause, event: Event) -> bool:
        thing = event.target
        bare = event.kind is Kind.NAMED and not event.verb and not _names(event)
        strange = bare and thing is not None and bool(thing.unknown)
        strange = strange and clause.join not in ("and", "or")
        return strange and any(s != clause.sentence or k < at for s, at in asking)

    return [
        UNREAD if tells(k, clause, event) else event
        for k, (clause, event) in enumerate(zip(clauses, events, strict=True))
    ]


def _joined_to_request(clause: Clause, before: Event | None, sentence: int) -> bool:
    return (
        clause.join in ("and", "or")
        and clause.sentence == sentence
        and before is not None
        and before.kind in (Kind.TAKE, Kind.NAMED)
    )


def _with_nouns(event: Event, everything: Sequence[Thing]) -> Event:
    """Give "the blue one" the noun that stands elsewhere in the sentence."""

    def named(thing: Thing | None) -> Thing | None:
        if thing is None or thing.noun is not None:
            return thing
        nouns = [t.noun for t in everything if t.noun is not None and t is not event.destination]
        return replace(thing, noun=nouns[0]) if len(set(nouns)) == 1 else thing

    return replace(event, target=named(event.target))


def _continued(clause: Clause, event: Event, before: Event | None) -> Event:
    """Carry a negation on: "do not take the red cup or the blue one"."""
    if before is None or event.kind is not Kind.NAMED:
        return event
    if before.kind is Kind.UNREAD and clause.join in ("and", "or") and not event.verb:
        return UNREAD  # "I see a ball and a cup"
    if before.kind is not Kind.LEAVE:
        return event
    if event.verb or event.corrects:
        return event
    contrast = (
        before.target is not None
        and event.target is not None
        and (not before.verb or event.target.one or before.target.noun == event.target.noun)
    )
    if clause.join in ("and", "or") or (clause.join == "soft" and not contrast):
        return replace(event, kind=Kind.LEAVE, verb=before.verb)
    return event


def _add(total: _Sum, event: Event) -> None:
    if event.corrects:
        total.wanted.clear()
    if event.kind is Kind.STOP:
        total.wanted.clear()
        total.stopped = True
    elif event.kind is Kind.LEAVE:
        target = event.target
        total.stopped = True
        if target is None:
            total.wanted.clear()
        else:
            total.excluded.append(target)
            total.wanted = [
                pair
                for pair in total.wanted
                if not (target.fits(pair[0]) and (pair[0].colour or not target.colour))
            ]
    elif event.kind in (Kind.TAKE, Kind.NAMED):
        target = event.target if event.target is not None else total.last
        if target is None:
            total.trouble = total.trouble or "no object"
            return
        total.wanted.append((target, event.destination))
    spoken_of = event.all_things[0] if len(event.all_things) == 1 else None
    total.last = event.target or spoken_of or total.last


def _result(total: _Sum) -> Request:
    excluded = tuple(total.excluded)
    if not total.wanted:
        status = Understanding.NOTHING_TO_DO if total.stopped else Understanding.NOT_UNDERSTOOD
        return Request(status, excluded=excluded, reason=total.trouble or "no object to take")
    target, destination = total.wanted[0]
    for other, place in total.wanted[1:]:
        if not target.fits(other) or (destination and place and not destination.fits(place)):
            return _no("more than one thing to do")
        target, destination = _merged(target, other), destination or place
    if total.trouble:
        return _no(total.trouble)
    for thing in (target, destination):
        if thing is not None and thing.unknown:
            return _no(f"{UNKNOWN_WORDS}: {', '.join(thing.unknown)}")
    if target.noun is None and target.colour is None:
        return _no("no object to take")
    if target.vague and target.colour is None:
        return _no("an object told from others by its surroundings")
    return Request(Understanding.UNDERSTOOD, target, destination, excluded)


def _merged(one: Thing, other: Thing) -> Thing:
    return replace(
        one,
        noun=one.noun or other.noun,
        colour=one.colour or other.colour,
        unknown=one.unknown + other.unknown,
        not_colours=one.not_colours + other.not_colours,
    )


def _no(reason: str) -> Request:
    return Request(Understanding.NOT_UNDERSTOOD, reason=reason)
