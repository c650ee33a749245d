"""The English that requests are made of: phrases and what they can be, from the YAML files beside
this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

VOWELS = "aeiou"
LONGEST_PHRASE = 10  # words
_APART = ("verbs", "irregular", "rewrites", "conjunctions", "statements", "deeds")  # no phrases


@dataclass(frozen=True)
class Sense:
    """One thing that a phrase can be: a kind, and for nouns, colours and verbs which."""

    kind: str
    value: str = ""


@dataclass(frozen=True)
class Lexicon:
    senses: Mapping[tuple[str, ...], tuple[Sense, ...]]
    words: frozenset[str]
    names: frozenset[str]  # words of nouns and colours
    rewrites: Mapping[str, str]
    english: frozenset[str]  # words that look like ours and are not
    statements: frozenset[str]  # words of clauses that tell or ask something
    deeds: frozenset[str]  # verbs that are not a robot's taking
    pairs: frozenset[tuple[str, str]]  # neighbours in a phrase


def read_yaml(name: str) -> Any:
    """Return a YAML file of this package; every scalar is a string, `no` and `on` included."""
    return yaml.load(
        resources.files("robot.words").joinpath(name).read_text(encoding="utf-8"),
        Loader=yaml.BaseLoader,
    )


@cache
def lexicon() -> Lexicon:
    """Return the lexicon, read once."""
    english, names = read_yaml("english.yaml"), read_yaml("names.yaml")
    found: dict[tuple[str, ...], list[Sense]] = {}

    def add(phrase: str, kind: str, value: str = "") -> None:
        of_phrase = found.setdefault(tuple(phrase.split()), [])
        if Sense(kind, value) not in of_phrase:
            of_phrase.append(Sense(kind, value))

    for kind, meanings in (("noun", names["nouns"]), ("colour", names["colours"])):
        for meaning, phrases in meanings.items():
            for phrase in phrases:
                add(phrase, kind, meaning)
                if kind == "noun":
                    add(_plural(phrase), kind, meaning)
    own_words = frozenset(word for phrase in found for word in phrase)
    irregular = english["irregular"]["participles"]
    for kind, verbs in english["verbs"].items():
        for verb in verbs:
            add(verb, kind, verb)
            add(gerund(verb), f"{kind}ing", verb)
            add(participle(verb, irregular), f"{kind}n", verb)
    for kind, phrases in english.items():
        if kind not in _APART:
            for phrase in _flat(phrases):
                add(phrase, kind)
    for kind, phrases in english["conjunctions"].items():
        for phrase in phrases:
            add(phrase, kind)
    text = resources.files("robot.words").joinpath("lookalikes.txt").read_text(encoding="utf-8")
    return Lexicon(
        senses={phrase: tuple(senses) for phrase, senses in found.items()},
        words=frozenset(word for phrase in found for word in phrase)
        | frozenset(english["rewrites"]),
        names=own_words,
        rewrites=english["rewrites"],
        english=frozenset(text.split()),
        statements=frozenset(english["statements"]),
        deeds=frozenset(english["deeds"]),
        pairs=frozenset(pair for phrase in found for pair in pairwise(phrase)),
    )


def _flat(phrases: Any) -> Iterable[str]:
    for phrase in phrases:
        if isinstance(phrase, str):
            yield phrase
        else:
            yield from _flat(phrase)


def _plural(phrase: str) -> str:
    ending = "es" if phrase.endswith(("s", "x", "sh", "ch")) else "s"
    if phrase.endswith("y") and phrase[-2] not in VOWELS:
        return phrase[:-1] + "ies"
    return phrase + ending


def gerund(verb: str) -> str:
    """Return "picking up" for "pick up"."""
    first, _, rest = verb.partition(" ")
    if first.endswith("e") and not first.endswith("ee"):
        first = first[:-1]
    return f"{_doubled(first) if not verb.split()[0].endswith('e') else first}ing {rest}".strip()


def participle(verb: str, irregular: Mapping[str, str]) -> str:
    """Return "picked up" for "pick up"."""
    first, _, rest = verb.partition(" ")
    if first in irregular:
        return f"{irregular[first]} {rest}".strip()
    if first.endswith("e"):
        return f"{first}d {rest}".strip()
    if first.endswith("y") and first[-2] not in VOWELS:
        return f"{first[:-1]}ied {rest}".strip()
    return f"{_doubled(first)}ed {rest}".strip()


def _doubled(word: str) -> str:
    """Return a short verb as it stands before -ing and -ed: "grab" becomes "grabb"."""
    short = len(word) >= 3 and word[-1] not in "aeiouwxy" and word[-2] in VOWELS
    return word + word[-1] if short and word[-3] not in VOWELS and len(word) <= 4 else word
