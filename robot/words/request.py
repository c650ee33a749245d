"""What a sentence asks for: `understand("not the red one, the blue cup, please")`.

Words -> items (phrases and what they can be) -> noun phrases -> clauses -> one request, or none.
A clause that is not wholly understood asks for nothing: better no action than a guess.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

from robot.words.lexicon import LONGEST_PHRASE, Lexicon, Sense, lexicon
from robot.words.spelling import candidates

UNKNOWN = Sense("unknown")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.!?;:,()\n\u2014\u2013\u3002\uff0c]|\s-\s|\S")
_HARD, _SOFT = {".", "!", "?", "\n", "\u3002"}, {",", ";", ":", "(", ")", "\u2014", "\u2013", "-"}


class Understanding(str, Enum):
    """Whether a sentence asks for something that can be done."""

    UNDERSTOOD = "understood"
    NOTHING_TO_DO = "nothing_to_do"  # it says stop, or what not to do
    NOT_UNDERSTOOD = "not_understood"


@dataclass(frozen=True)
class Thing:
    """What a noun phrase says of an object; None where it leaves that open."""

    noun: str | None = None
    colour: str | None = None
    unknown: tuple[str, ...] = ()  # words that may tell it from others and are not known
    vague: bool = False  # told from others by its surroundings
    not_colours: tuple[str, ...] = ()
    evaluated: bool = False  # "nice cup": a remark rather than a request, when it stands alone
    one: bool = False  # "the blue one": its noun stands elsewhere

    def fits(self, other: Thing) -> bool:
        """Return whether two phrases can mean the same object."""
        return all(
            None in (a, b) or a == b
            for a, b in ((self.noun, other.noun), (self.colour, other.colour))
        )


@dataclass(frozen=True)
class Request:
    """What is asked for, and why not where nothing is."""

    status: Understanding
    target: Thing | None = None
    destination: Thing | None = None
    excluded: tuple[Thing, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Item:
    """A phrase, a noun phrase (`thing`) or a mark, with all that it can be."""

    text: str
    senses: tuple[Sense, ...] = ()
    thing: Thing | None = None
    mark: str = ""  # "hard", "soft" or "question"

    def is_a(self, *kinds: str) -> bool:
        return any(sense.kind in kinds for sense in self.senses)

    def value(self, kind: str) -> str:
        return next(sense.value for sense in self.senses if sense.kind == kind)


@lru_cache(maxsize=1024)
def understand(sentence: str) -> Request:
    """Return what a sentence asks for."""
    return _combine(_clauses(_noun_phrases(_items(_words(sentence)))))


# --- words


def _words(sentence: str) -> list[str]:
    text = unicodedata.normalize("NFKC", sentence).lower()
    text = re.sub("[\u2018\u2019\u02bc`\u00b4]", "'", text)
    text = re.sub(r"\bnon[- ]", "not ", text)
    text = re.sub(r"\bwon't\b", "will not", text)
    text = re.sub(r"\bcan't\b|\bcannot\b", "can not", text)
    text = re.sub(r"(\w)n't\b", r"\1 not", text)
    for short, long in (("'d", " would"), ("'ll", " will"), ("'m", " am"), ("'re", " are")):
        text = re.sub(rf"(\w){short}\b", rf"\1{long}", text)
    text = re.sub(r"\blet's\b", "let us", text)
    text = re.sub(r"\b(it|that|this|there|here|what|which|one|he|she)'s\b", r"\1 is", text)
    text = re.sub(r"'(s|ve)\b", "", text)
    text = re.sub(r"(\w)-(?=\w)", r"\1 ", text)
    text = re.sub(r"['\"\u201c\u201d*_#]", " ", text)
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    rewrites = lexicon().rewrites
    found: list[str] = []
    for word in _WORD.findall(text):
        found += rewrites.get(word.strip(), word.strip() or "\n").split(" ")
    return found


def _is_mark(word: str) -> bool:
    return word in _HARD or word in _SOFT


def _spelt(words: Sequence[str], lex: Lexicon) -> list[str]:
    """Correct misspelt words; join those that were split and split those that were joined."""
    found: list[str] = []
    k = 0
    while k < len(words):
        word, after = words[k], words[k + 1] if k + 1 < len(words) else ""
        joined = word + after
        split_up = word not in lex.words or after not in lex.words
        if after.isalpha() and split_up and joined in lex.names and len(joined) > 2:
            found.append(joined)
            k += 2
            continue
        found += [word] if _known(word, lex) else _corrected(word, found, words[k + 1 :], lex)
        k += 1
    return found


def _known(word: str, lex: Lexicon) -> bool:
    return word in lex.words or word in lex.english or not word.isascii() or not word.isalpha()


def _corrected(word: str, before: Sequence[str], after: Sequence[str], lex: Lexicon) -> list[str]:
    for cut in range(2, len(word) - 1):
        parts = [word[:cut], word[cut:]]
        if all(part in lex.words for part in parts) and any(part in lex.names for part in parts):
            return parts
    options = candidates(word, lex.words)
    if not options:
        squeezed = re.sub(r"(.)\1+", r"\1", word)  # "yelllloooow"
        options = tuple(w for w in lex.words if re.sub(r"(.)\1+", r"\1", w) == squeezed)
    if before and any(
        s.kind == "colour" for s in lex.senses.get((before[-1],), ())
    ):  # "the blue book" is no "blue ... look"
        options = tuple(w for w in options if _may_be(w, ("noun", "generic", *_PART), lex))
    if len(options) > 1:
        options = _likelier(options, before, after, lex)
    return [options[0]] if options else [word]


def _may_be(word: str, kinds: Sequence[str], lex: Lexicon) -> bool:
    return word in lex.names or any(s.kind in kinds for s in lex.senses.get((word,), ()))


def _likelier(
    options: Sequence[str], before: Sequence[str], after: Sequence[str], lex: Lexicon
) -> tuple[str, ...]:
    """Choose between corrections by what the sentence expects: a noun after a colour, a colour
    before a noun, a name after an article.
    """

    def kinds(word: str) -> set[str]:
        return {sense.kind for sense in lex.senses.get((word,), ())}

    def first(word: str) -> bool:
        return any(sense.value == word for sense in lex.senses.get((word,), ()))

    last, next_ = kinds(before[-1]) if before else set(), kinds(after[0]) if after else set()
    wanted: set[str] = set()
    if "noun" in next_ or "generic" in next_:
        wanted = {"colour", "modifiers"}
    elif "colour" in last:
        wanted = {"noun"}
    elif "determiners" in last:
        wanted = {"noun", "colour", "modifiers"}
    elif not before:
        wanted = {"take", "place", "ask", "fillers", "bring"}
    for chosen in (
        [w for w in options if kinds(w) & wanted and first(w)],
        [w for w in options if kinds(w) & wanted],
        [w for w in options if first(w)],
        [w for w in options if kinds(w)],
    ):
        meanings = {
            tuple(s for s in lex.senses[(w,)] if s.kind in ("noun", "colour")) or w for w in chosen
        }
        if len(meanings) == 1:
            return (chosen[0],)
        if chosen:
            return ()  # either of two things: neither is taken
    return tuple(options)


def _items(words: Sequence[str]) -> list[Item]:
    lex = lexicon()
    words = _spelt(words, lex)
    items: list[Item] = []
    k = 0
    while k < len(words):
        if _is_mark(words[k]):
            kind = "question" if words[k] == "?" else "hard" if words[k] in _HARD else "soft"
            items.append(Item(words[k], mark=kind))
            k += 1
            continue
        for length in range(min(LONGEST_PHRASE, len(words) - k), 0, -1):
            phrase = tuple(words[k : k + length])
            if phrase in lex.senses:
                items.append(Item(" ".join(phrase), lex.senses[phrase]))
                k += length
                break
        else:
            adverb = len(words[k]) > 4 and words[k].endswith("ly") and words[k].isascii()
            items.append(Item(words[k], (Sense("fillers"),) if adverb else (UNKNOWN,)))
            k += 1
    return items


# --- noun phrases

_PART = ("modifiers", "colour", "evaluations", "surroundings", "quantities")


def _noun_phrases(items: Sequence[Item]) -> list[Item]:
    found: list[Item] = []
    k = 0
    while k < len(items):
        phrase, end = _noun_phrase(items, k)
        if phrase is None:
            found.append(items[k])
            k += 1
        else:
            found.append(Item(" ".join(i.text for i in items[k:end]), thing=phrase))
            k = end
    return found


def _noun_phrase(items: Sequence[Item], start: int) -> tuple[Thing | None, int]:
    """Return the noun phrase that begins here and where it ends; None where none does."""
    k, thing = start, Thing()
    determined = False
    while k < len(items) and items[k].is_a("determiners") and not items[k].is_a("colour"):
        k, determined = k + 1, True
    first, unknown, colours, plain, modified = k, [], [], False, False
    while k < len(items):
        item = items[k]
        if item.is_a("noun", "generic") and not (
            item.is_a("colour") and _leads_to_noun(items, k + 1)
        ):
            break
        if item.is_a("colour"):
            colours.append(item.value("colour"))
            plain = item.text == item.value("colour") != "orange"
        elif item.is_a("quantities") and (determined or not item.is_a("stops", "fillers")):
            unknown.append(item.text)
        elif item.is_a("modifiers", "evaluations") and (
            determined or colours or _leads_to_noun(items, k + 1)
        ):
            modified, plain = True, False
            thing = replace(thing, evaluated=thing.evaluated or item.is_a("evaluations"))
        elif item.is_a("surroundings") and (determined or colours):
            thing = replace(thing, vague=True)
        elif (item.is_a("unknown") and (determined or colours)) or (
            determined and not item.mark and _leads_to_noun(items, k + 1, only=1)
        ):
            unknown.append(item.text)
        else:
            break
        k += 1
    colour, known = _one_colour(colours)
    if not known:
        unknown.append(" ".join(colours))
    thing = replace(thing, colour=colour)
    if k < len(items) and items[k].is_a("noun") and not items[k].mark:
        thing, k = replace(thing, noun=items[k].value("noun")), k + 1
    elif k < len(items) and items[k].is_a("generic") and (determined or colours or modified):
        thing, k = replace(thing, one=items[k].text in ("one", "ones")), k + 1
    elif not (unknown and (determined or colours)) and not (colours and plain):
        return None, start
    if unknown and thing.noun is None and not determined and not colours:
        return None, start
    if k == first and not colours and not unknown and thing.noun is None:
        return None, start
    while k < len(items) and items[k].is_a("unknown") and thing.noun is not None:
        unknown.append(items[k].text)  # "cup holder" is another thing than a cup
        k += 1
    if (
        k < len(items)
        and items[k].is_a("noun")
        and thing.noun is not None
        and not determined_here(items, k)
    ):
        unknown.append(items[k].text)
        k += 1
    thing = replace(thing, unknown=tuple(unknown))
    return _described(items, k, thing)


def determined_here(items: Sequence[Item], k: int) -> bool:
    """Return whether the noun at `k` begins a phrase of its own."""
    return items[k].is_a("places", "fillers", "take", "place")


def _leads_to_noun(items: Sequence[Item], k: int, *, only: int = 6) -> bool:
    """Return whether the words from here on end in a noun: the one before is part of its phrase."""
    for item in items[k : k + only]:
        if item.is_a("noun", "generic"):
            return True
        if not item.is_a(*_PART):
            return False
    return False


def _one_colour(colours: Sequence[str]) -> tuple[str | None, bool]:
    """Return the colour that words name together, and whether there is one: "cherry red" is, "red
    green" is not.
    """
    if not colours:
        return None, True
    return (colours[-1], True) if len(set(colours)) == 1 else (None, False)


def _described(items: Sequence[Item], k: int, thing: Thing) -> tuple[Thing, int]:
    """Add what follows a noun: "that is blue", "of red colour", "which is not green"."""
    end, negated = k, False
    while end < len(items) and (
        items[end].is_a("about", "modifiers", "generic")
        or (items[end].is_a("determiners") and end > k)
        or (end > k and items[end].is_a("negations"))
    ):
        negated |= items[end].is_a("negations")
        end += 1
    if end == k or end >= len(items) or not items[end].is_a("colour"):
        return thing, k
    if items[end].is_a("noun") or _leads_to_noun(items, end + 1):
        return thing, k
    colour, end = items[end].value("colour"), end + 1
    while end < len(items) and items[end].is_a("modifiers", "about") and "color" in items[end].text:
        end += 1
    if negated:
        return replace(thing, not_colours=(*thing.not_colours, colour)), end
    if thing.colour not in (None, colour):
        return replace(thing, unknown=(*thing.unknown, colour)), end
    return replace(thing, colour=colour), end


# --- clauses


@dataclass(frozen=True)
class Clause:
    """Items between two marks or conjunctions; `join` says what stood before it."""

    items: tuple[Item, ...]
    join: str  # "", "soft", "hard", "and", "or", "but"
    question: bool = False
    sentence: int = 0


_JOINS = ("and", "or", "but")


def _clauses(items: Sequence[Item]) -> list[Clause]:
    found: list[Clause] = []
    part: list[Item] = []
    join, sentence = "hard", 0

    def close(question: bool = False) -> None:
        nonlocal part, join
        if part:
            found.append(Clause(tuple(part), join, question, sentence))
            part, join = [], ""

    for k, item in enumerate(items):
        if item.mark:
            close(item.mark == "question")
            join = "soft" if item.mark == "soft" and join not in _JOINS else item.mark
            sentence += item.mark != "soft"
        elif item.is_a(*_JOINS) and not item.thing and not (item.is_a("fillers") and not part):
            close()
            join = next(kind for kind in _JOINS if item.is_a(kind))
        elif any(i.thing for i in part) and _begins_clause(item, items[k + 1 :], part):
            close()
            join, part = "soft", [item]
        else:
            part.append(item)
    close()
    return found


def _begins_clause(item: Item, rest: Sequence[Item], before: Sequence[Item]) -> bool:
    """Return whether a clause begins within a run of words: "..., not the red one", "instead of
    the ball take the cup".
    """
    if not rest or rest[0].mark:
        return False
    if item.is_a("negations", "corrects", "conditions") and not item.is_a("stays"):
        return True
    led = next((i for i in before if not i.is_a("fillers")), before[0])
    return (
        led.is_a("negations")
        and item.is_a("take", "bring", "place", "want")
        and _has_object(_Cursor(rest))
    )


class _Cursor:
    """Reads a clause from left to right; words that say nothing are passed over."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items, self.k = items, 0

    @property
    def here(self) -> Item | None:
        return self.items[self.k] if self.k < len(self.items) else None

    def take(self, *kinds: str) -> Item | None:
        """Return the next item if it is one of these, passing over fillers before it."""
        for k in range(self.k, len(self.items)):
            if self.items[k].is_a(*kinds):
                self.k = k + 1
                return self.items[k]
            if not self.items[k].is_a("fillers"):
                return None
        return None

    def thing(self) -> Thing | None:
        for k in range(self.k, len(self.items)):
            if self.items[k].thing:
                self.k = k + 1
                return self.items[k].thing
            if not self.items[k].is_a("fillers"):
                return None
        return None

    def done(self) -> bool:
        return all(item.is_a("fillers", "particles") for item in self.items[self.k :])


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


def _event(clause: Clause) -> Event:
    cursor = _Cursor(clause.items)
    things = tuple(item.thing for item in clause.items if item.thing)
    negative = corrects = wanted = asked = False
    while True:
        here = cursor.here
        if here is None or here.thing:
            break
        rest = _Cursor(cursor.items[cursor.k + 1 :])
        if here.is_a("stops") and rest.done():
            return Event(Kind.NOTHING if negative else Kind.STOP)
        if here.is_a("take", "bring", "place") and _has_object(rest) and not here.is_a("want"):
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
    event = _core(cursor, asked=asked, wanted=wanted, negative=negative, question=clause.question)
    if negative and event.kind is Kind.UNREAD and things:
        event = Event(Kind.LEAVE, things[0])
    elif negative and event.kind in (Kind.TAKE, Kind.NAMED):
        event = replace(event, kind=Kind.LEAVE)
    elif negative and event.kind is Kind.NOTHING:
        event = Event(Kind.LEAVE)
    return replace(event, corrects=corrects, all_things=things)


def _has_object(rest: _Cursor) -> bool:
    """Return whether an object follows a verb, perhaps after a particle."""
    probe = _Cursor(rest.items)
    while probe.take("particles", "negations"):
        pass
    return probe.thing() is not None or probe.take("pronouns") is not None


UNREAD = Event(Kind.UNREAD)


def _core(cursor: _Cursor, *, asked: bool, wanted: bool, negative: bool, question: bool) -> Event:
    """Read what follows the frame of a request."""
    if cursor.done():
        return Event(Kind.NOTHING)
    ing = asked or wanted or negative
    for kind in ("take", "bring", "place", "reach"):
        forms = (kind, f"{kind}ing") if ing else (kind,)
        before = cursor.k
        if (verb := cursor.take(*forms)) is None:
            continue
        while cursor.take("particles"):
            pass
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


def _after_thing(cursor: _Cursor, named: Event, *, wanted: bool) -> Event:
    """Read what follows an object that begins its clause."""
    taken = replace(named, kind=Kind.TAKE, verb=True)
    start = cursor.k
    passive = cursor.take("becomes") is not None
    if (passive or wanted) and cursor.take("taken", "bringn"):
        return _ends(cursor, taken)
    if (passive or wanted) and cursor.take("placen"):
        return _destination(cursor, taken)
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
        return _destination(cursor, taken)
    placed = _destination(cursor, taken)
    if placed is not UNREAD:
        return placed
    cursor.k = start
    return _ends(cursor, replace(named, verb=wanted))


def _after_verb(cursor: _Cursor, event: Event, *, kind: str, verb: Item, negative: bool) -> Event:
    """Read what follows a verb and its object."""
    while cursor.take("particles"):
        pass
    if verb.text.startswith("leav") or verb.text == "let":
        if cursor.done() or cursor.take("stays"):
            return replace(event, kind=Kind.LEAVE)
        return _destination(cursor, event)
    if cursor.take("stays"):
        return replace(event, kind=Kind.LEAVE)
    if kind == "reach":
        return Event(Kind.NOTHING, event.target) if cursor.done() else UNREAD
    start = cursor.k
    placed = _destination(cursor, event)
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


def _destination(cursor: _Cursor, event: Event) -> Event:
    """Read where to; UNREAD where that is not said, or no object."""
    while cursor.take("particles"):
        pass
    _surroundings(cursor)
    if cursor.take("puts") is None:
        return UNREAD
    destination = cursor.thing()
    if destination is None:
        return UNREAD
    return _ends(cursor, replace(event, destination=destination))


def _surroundings(cursor: _Cursor) -> bool:
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


def _ends(cursor: _Cursor, event: Event) -> Event:
    """Return the event if nothing follows that could change it, else UNREAD."""
    while cursor.take("particles"):
        pass
    if _surroundings(cursor) and event.target is not None and event.target.colour is None:
        event = replace(event, target=replace(event.target, vague=True))
    while cursor.take("particles"):
        pass
    if cursor.done():
        return event
    rest = cursor.items[cursor.k :]
    opening = next((i for i in rest if not i.is_a("fillers")), rest[0])
    harmless = opening.is_a("tails") and not any(
        i.thing and (i.thing.noun or i.thing.colour) or i.is_a("negations", "stays") for i in rest
    )
    elsewhere = opening.is_a("puts") and any(i.is_a("determiners", "modifiers") for i in rest)
    return event if harmless and not elsewhere else UNREAD


# --- the sum


@dataclass
class _Sum:
    wanted: list[tuple[Thing, Thing | None]]
    excluded: list[Thing]
    last: Thing | None = None
    stopped: bool = False
    trouble: str = ""


def _combine(clauses: Sequence[Clause]) -> Request:
    """Add up what the clauses ask for, in order."""
    events = [_event(clause) for clause in clauses]
    everything = [thing for event in events for thing in event.all_things]
    conditional = {
        clause.sentence
        for clause, event in zip(clauses, events, strict=True)
        if event.kind is Kind.CONDITION
    }
    total = _Sum(wanted=[], excluded=[])
    before: Event | None = None
    for clause, event in zip(clauses, events, strict=True):
        event = _with_nouns(event, everything)
        event = _continued(clause, event, before)
        asks = event.kind in (Kind.TAKE, Kind.NAMED)
        if asks and clause.sentence in conditional:
            total.trouble = "a condition that cannot be checked"
        elif event.kind is Kind.UNREAD and event.all_things and _joined_to_request(clause, before):
            total.trouble = "a part that is not understood"
        _add(total, event)
        if event.kind is not Kind.NOTHING or event.target is not None:
            before = event
    return _result(total)


def _joined_to_request(clause: Clause, before: Event | None) -> bool:
    return (
        clause.join in ("and", "or")
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
            return _no(f"unknown words: {', '.join(thing.unknown)}")
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
