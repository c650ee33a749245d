"""A clause -> the event that it asks for; UNREAD where it is not wholly understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from robot.words.clauses import Clause, Cursor, has_object
from robot.words.items import Item, Thing


class Kind(Enum):
    TAKE = 1  # also with a destination
    NAMED = 2  # a noun phrase alone
    LEAVE = 3  # one to leave alone
    STOP = 4
    CONDITION = 5
    NOTHING = 6  # words that ask for nothing
    UNREAD = 7


@dataclass(frozen=True)
class Event:
    """What one clause asks for; `target` None is a pronoun."""

    kind: Kind
    target: Thing | None = None
    destination: Thing | None = None
    corrects: bool = False
    verb: bool = False
    all_things: tuple[Thing, ...] = field(default=())


def event_of(clause: Clause) -> Event:
    cursor = Cursor(clause.items)
    things = tuple(item.thing for item in clause.items if item.thing)
    negative = corrects = wanted = asked = False
    while True:
        here = cursor.here
        if here is None or here.thing:
            break
        rest = Cursor(cursor.items[cursor.k + 1 :])
        if here.is_a("stops") and rest.done():
            return Event(Kind.NOTHING if negative else Kind.STOP)
        if here.is_a("take", "bring", "place") and has_object(rest) and not here.is_a("want"):
            break
        if here.text == "no" and rest.here is not None and rest.here.thing:
            negative = True  # "no red cup"
        elif here.is_a("corrects") and (cursor.k == 0 or corrects) and not rest.done():
            corrects = True
        elif here.is_a("negations"):
            negative = not negative
        elif here.is_a("want"):
            wanted = True
        elif here.is_a("ask"):
            asked = True
        elif here.is_a("conditions") and not here.is_a("fillers"):
            return Event(Kind.CONDITION)
        elif not here.is_a("fillers", "instead"):
            break
        cursor.k += 1
    if _reason(cursor.items[cursor.k :]):
        return Event(Kind.LEAVE if negative else Kind.NOTHING)
    event = _core(cursor, asked=asked, wanted=wanted, negative=negative, question=clause.question)
    if negative and event.kind is Kind.UNREAD and things:
        event = Event(Kind.LEAVE, things[0])
    elif negative and event.kind in (Kind.TAKE, Kind.NAMED):
        event = replace(event, kind=Kind.LEAVE)
    elif negative and event.kind is Kind.NOTHING:
        event = Event(Kind.LEAVE)
    return replace(event, corrects=corrects, all_things=things)


UNREAD = Event(Kind.UNREAD)


def _reason(items: Sequence[Item]) -> bool:
    """Return whether a clause gives a reason that names no object: "so that all can see"."""
    return (
        bool(items)
        and items[0].text in ("so", "so that", "because", "since")
        and not any(
            i.thing and i.thing.noun or i.is_a("negations", "stays", "stops") for i in items
        )
    )


def _core(cursor: Cursor, *, asked: bool, wanted: bool, negative: bool, question: bool) -> Event:
    """Read what follows the frame of a request."""
    if cursor.done():
        return Event(Kind.NOTHING)
    ing = asked or wanted or negative
    for kind in ("take", "bring", "place", "reach"):
        forms = (kind, f"{kind}ing") if ing else (kind,)
        before = cursor.k
        if (verb := cursor.take(*forms)) is None:
            continue
        cursor.particles()
        negated = cursor.take("negations") is not None
        target = cursor.thing()
        if target is None and cursor.take("pronouns") is None:
            cursor.k = before
            continue
        if negated and target is not None:  # "take not the red cup but the blue one"
            return Event(Kind.LEAVE, target)
        named = Event(Kind.TAKE, target, verb=True)
        return _after_verb(cursor, named, kind=kind, verb=verb, negative=negative)
    target = cursor.thing()
    if target is None:
        return UNREAD
    named = Event(Kind.NAMED, target)
    if cursor.done():
        bare = not wanted and (target.evaluated or question)
        return UNREAD if bare and not asked else replace(named, verb=wanted)
    if cursor.take("stays"):
        return Event(Kind.LEAVE, target)
    return _after_thing(cursor, named, wanted=wanted)


def _after_thing(cursor: Cursor, named: Event, *, wanted: bool) -> Event:
    """Read what follows an object that begins its clause."""
    taken = replace(named, kind=Kind.TAKE, verb=True)
    start = cursor.k
    passive = cursor.take("becomes") is not None
    if (passive or wanted) and cursor.take("taken", "bringn"):
        return _ends(cursor, taken)
    if (passive or wanted) and cursor.take("placen"):
        return destination_of(cursor, taken)
    cursor.k = start
    if cursor.take("needs") and cursor.take("takeing"):
        return _ends(cursor, taken)
    cursor.k = start
    if (
        cursor.take("up")
        and cursor.take("sources", "puts")
        and cursor.take("places", "determiners")
    ):
        return taken
    cursor.k = start
    if cursor.take("goes") is not None:
        return destination_of(cursor, taken)
    placed = destination_of(cursor, taken)
    if placed is not UNREAD:
        return placed
    cursor.k = start
    return _ends(cursor, replace(named, verb=wanted))


def _after_verb(cursor: Cursor, event: Event, *, kind: str, verb: Item, negative: bool) -> Event:
    """Read what follows a verb and its object."""
    cursor.particles()
    if verb.text.startswith("leav") or verb.text == "let":
        if cursor.done() or cursor.take("stays"):
            return replace(event, kind=Kind.LEAVE)
        return destination_of(cursor, event)
    if cursor.take("stays"):
        return replace(event, kind=Kind.LEAVE)
    if kind == "reach":
        return Event(Kind.NOTHING, event.target) if cursor.done() else UNREAD
    start = cursor.k
    placed = destination_of(cursor, event)
    if kind == "place":
        if placed is UNREAD and event.target is None and negative:
            return event
        return placed
    if placed is not UNREAD and (kind == "bring" or _towards(cursor.items[start:])):
        return placed
    cursor.k = start
    return _ends(cursor, event)


def _towards(items: Sequence[Item]) -> bool:
    """Return whether the first preposition says where to, not where from."""
    words = next((i.text for i in items if i.is_a("puts")), "")
    return "to" in words.split() or words in ("onto", "into")


def destination_of(cursor: Cursor, event: Event) -> Event:
    """Read where to; UNREAD where that is not said, or no object."""
    cursor.particles()
    _surroundings(cursor)
    if cursor.take("puts") is None:
        return UNREAD
    destination = cursor.thing()
    if destination is None:
        return UNREAD
    return _ends(cursor, replace(event, destination=destination))


def _surroundings(cursor: Cursor) -> bool:
    """Pass over "from the table", "next to the bowl"; return whether an object stood there."""
    found = False
    while True:
        start = cursor.k
        if cursor.take("sources", "puts") is None:
            return found
        while cursor.take("determiners", "modifiers", "surroundings", "generic"):
            pass
        if cursor.take("places"):
            continue
        cursor.k = start
        preposition = cursor.take("sources", "puts")
        assert preposition is not None
        if cursor.thing() is None or not preposition.is_a("sources"):
            cursor.k = start
            return found
        found = True


def _ends(cursor: Cursor, event: Event) -> Event:
    """Return the event if nothing follows that could change it, else UNREAD."""
    cursor.particles()
    if _surroundings(cursor) and event.target is not None and event.target.colour is None:
        event = replace(event, target=replace(event.target, vague=True))
    cursor.particles()
    if cursor.done():
        return event
    rest = cursor.items[cursor.k :]
    opening = next((i for i in rest if i.is_a("tails") or not i.is_a("fillers")), rest[0])
    harmless = opening.is_a("tails") and not any(
        i.thing and (i.thing.noun or i.thing.colour) or i.is_a("negations", "stays") for i in rest
    )
    elsewhere = opening.is_a("puts") and any(i.is_a("determiners", "modifiers") for i in rest)
    return event if harmless and not elsewhere else UNREAD
