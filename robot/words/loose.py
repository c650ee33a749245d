"""A clause that the grammar does not read whole -> the request that it must be, or none.

"grap the red cup", "would like that you take the red cup": one thing that could be the target, a
verb of taking or an unknown one, and nothing that negates, asks, tells or makes a condition.
"""

from __future__ import annotations

from collections.abc import Sequence

from robot.words.clauses import Clause, Cursor
from robot.words.events import UNREAD, Event, Kind, destination_of
from robot.words.items import Item, Thing
from robot.words.lexicon import lexicon
from robot.words.spelling import distance

_VERBS = ("take", "bring", "place")
_GERUNDS = ("takeing", "bringing", "placeing")
_AGAINST = ("negations", "stays", "stops", "corrects", "conditions", "instead")
_SURROUNDINGS = ("fillers", "particles", "sources", "places", "determiners", "pronouns", "unknown")
NOES = ("not", "dont", "never", "stop", "leave", "avoid", "ignore", "forget", "without", "refuse")
MOST_UNKNOWN = 2  # words of an unknown verb: "grap", "pleas grap"


def loosely(clause: Clause) -> Event:
    """Return what a clause must ask for; UNREAD where that is not sure."""
    items = clause.items
    at = [k for k, item in enumerate(items) if _could_be(item.thing)]
    if not at or any(_speaks_against(item) for item in items):
        return UNREAD
    before, target, after = items[: at[0]], items[at[0]].thing, items[at[0] + 1 :]
    if target is None or not _asks(before, question=clause.question):
        return UNREAD
    bare = target.colour is None and len(items[at[0]].text.split()) == 1
    if bare and not any(item.is_a(*_VERBS, *_GERUNDS, "want") for item in before):
        return UNREAD  # "nimm die rote Tasse" names no die
    event = Event(Kind.TAKE, target, verb=True)
    if len(at) == 2:
        cursor = Cursor(after)
        return destination_of(cursor, event)
    placed = any(item.is_a("place") and not item.is_a("take", "want") for item in before)
    return event if len(at) == 1 and not placed and _harmless(after) else UNREAD


def _could_be(thing: Thing | None) -> bool:
    return thing is not None and thing.noun is not None


def _speaks_against(item: Item) -> bool:
    if item.thing is not None:
        return (_could_be(item.thing) and bool(item.thing.unknown)) or item.thing.evaluated
    return item.is_a(*_AGAINST) and not item.is_a("fillers", "tails", *_VERBS, "want", "ask")


def _tells(item: Item) -> bool:
    """Return whether an item belongs to a statement or question rather than to a request."""
    if item.is_a("ask", "want", "fillers"):
        return False
    return any(word in lexicon().statements for word in item.text.split())


def _asks(before: Sequence[Item], *, question: bool) -> bool:
    """Return whether the words before a thing ask for it."""
    words = [i for i in before if i.is_a("want", "ask") or not i.is_a("fillers", "particles")]
    if not words:
        return False
    last = words[-1]
    if last.is_a("want") and not question:
        return not any(_tells(item) for item in words[:-1])
    if last.is_a(*_VERBS):
        return _polite(words[:-1], question=question)
    if last.is_a(*_GERUNDS):
        return _all_unknown(words[:-1]) or words[-2].is_a("ask")
    return not question and _all_unknown(words)


def _polite(led: Sequence[Item], *, question: bool) -> bool:
    """Return whether what leads to a verb of taking makes a request of it: nothing, "to", "I would
    like that you", or words that are misspelt beyond recognition; of a question "could you" alone.
    """
    if not led or (led[-1].is_a("ask", "want") and not any(_tells(item) for item in led)):
        return True
    if question:
        return False
    wish = led[0].is_a("ask", "want") and not any(_tells(item) for item in led)
    linked = all(item.is_a("ask", "want", "tails", "pronouns", "determiners") for item in led)
    return (wish and linked) or [item.text for item in led] == ["to"] or _all_unknown(led)


def _all_unknown(words: Sequence[Item]) -> bool:
    """Return whether words may be a misspelt request: unknown, no deed and no misspelt "not"."""
    other = lexicon().deeds | lexicon().statements
    return len(words) <= MOST_UNKNOWN and all(
        item.is_a("unknown")
        and item.text.isascii()
        and item.text.isalpha()
        and item.text not in other
        and not any(_slip_of(item.text, no) for no in NOES)
        for item in words
    )


def _slip_of(word: str, no: str) -> bool:
    return distance(word, no) <= 1 + (word[0] == no[0])


def _harmless(after: Sequence[Item]) -> bool:
    """Return whether nothing after a thing makes a statement of the clause."""
    return not any(_tells(item) for item in after) and all(
        item.thing is None and item.is_a(*_SURROUNDINGS) for item in after
    )
