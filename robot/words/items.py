"""A sentence's words, spelt right -> items: phrases and what they can be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from robot.words.lexicon import LONGEST_PHRASE, Lexicon, Sense, lexicon
from robot.words.spelling import candidates, distance, same_letters, slip

UNKNOWN = Sense("unknown")
PLAIN_COLOURS = ("red", "green", "blue", "yellow")  # what a real word may be a slip of
REFUSALS = ("dont", "not", "never", "stop", "leave", "avoid", "wont", "cant")  # before others
PART = ("modifiers", "colour", "evaluations", "surroundings", "quantities")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.!?;:,()\n\u2014\u2013\u3002\uff0c]|\s-\s|\S")
_ADVERBS = "(?:only|just|really|simply|actually|rather|merely|kinda|still|certainly)"
_HARD, _SOFT = {".", "!", "?", "\n", "\u3002"}, {",", ";", ":", "(", ")", "\u2014", "\u2013", "-"}


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


def words_of(sentence: str) -> list[str]:
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
    text = re.sub(r"(^|\s)!(?=\w)", r"\1not ", text)  # of a program
    text = re.sub(r"(\w)\((?=\w)", r"\1 ", text)  # pick(cup)
    text = re.sub(r"(?<![=!<>])=(?!=)|['\"\u201c\u201d*_#>{}\[\]]", " ", text)
    text = re.sub(rf"\b(i|we|you|would|am|is)( {_ADVERBS})+ (?=\w)", r"\1 ", text)
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
        if word not in lex.words and (meant := in_context(word, found, after, lex)):
            found.append(meant)
        elif _known(word, lex):
            found.append(word)
        else:
            found += _corrected(word, found, words[k + 1 :], lex)
        k += 1
    return found


def _known(word: str, lex: Lexicon) -> bool:
    return word in lex.words or word in lex.english or not word.isascii() or not word.isalpha()


def _corrected(word: str, before: Sequence[str], after: Sequence[str], lex: Lexicon) -> list[str]:
    if refusals := [no for no in REFUSALS if slip(word, no)]:
        return lex.rewrites.get(refusals[0], refusals[0]).split()  # better no action than a wrong
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
        described = bool(after) and _may_be(after[0], ("noun", "generic", *PART), lex)
        kinds = ("noun", "generic", *(PART if described else ()))  # no "red stapler" is a "smaller"
        options = tuple(w for w in options if _may_be(w, kinds, lex))
    if len(options) > 1:
        options = _likelier(options, before, after, lex)
    return [options[0]] if options else [word]


def in_context(word: str, before: Sequence[str], after: str, lex: Lexicon) -> str | None:
    """Return what a word outside the lexicon, English or not, must have been: a colour before a
    known noun, a noun whose letters are swapped after a colour, or what makes a phrase with its
    neighbour ("bring em", "i ned"). None where nothing or several things fit.
    """
    if not word.isascii() or not word.isalpha() or len(word) < 2:
        return None
    if word not in lex.english and slip(word, "the"):
        return "the"
    last = before[-1] if before else ""

    def is_a(other: str, kind: str) -> bool:
        return any(sense.kind == kind for sense in lex.senses.get((other,), ()))

    if is_a(after, "noun") or is_a(near_noun(after, lex), "noun"):
        colours = [c for c in PLAIN_COLOURS if distance(word, c) == 1]
        if colours:
            return colours[0] if len(colours) == 1 else None
    if is_a(last, "colour"):
        return near_noun(word, lex) or None
    if is_a(last, "determiners"):
        return None
    options = [
        other
        for other in lex.words
        if abs(len(other) - len(word)) <= 1
        and ((last, other) in lex.pairs or (other, after) in lex.pairs)
        and slip(word, other)
    ]
    return options[0] if len(options) == 1 else None


def near_noun(word: str, lex: Lexicon) -> str:
    """Return the noun that two swapped letters, or one doubled, made a word of; "" for none."""
    if word in lex.words or len(word) < 3:
        return word if word in lex.words else ""
    nouns = {
        other
        for other in lex.names
        if abs(len(other) - len(word)) <= 1
        and same_letters(word, other)
        and distance(word, other) == 1
    }
    return nouns.pop() if len(nouns) == 1 else ""


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


def items_of(words: Sequence[str]) -> list[Item]:
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
