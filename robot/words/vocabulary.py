"""The objects and wordings that a head or policy was trained on, as vocabulary.yaml states them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robot.words.items import Thing


@dataclass(frozen=True)
class Named:
    """A kind of object of the vocabulary."""

    noun: str
    colours: tuple[str, ...]
    names: tuple[str, ...]  # as training named it; the first is the plain one
    preposition: str = "on"
    colour_may_go: bool = False  # training also named it without its colour


@dataclass(frozen=True)
class Vocabulary:
    """The objects that training named, and the wordings that it named them in."""

    targets: tuple[Named, ...]
    destinations: tuple[Named, ...]
    pick: str  # the wordings that other sentences are replaced by
    place: str
    pick_wordings: tuple[str, ...]
    place_wordings: tuple[str, ...]

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Vocabulary:
        """Return a vocabulary as vocabulary.yaml and checkpoints state it."""
        return Vocabulary(
            targets=_named(values["targets"]),
            destinations=_named(values["destinations"]),
            pick=values["canonical"]["pick"],
            place=values["canonical"]["place"],
            pick_wordings=tuple(values["wordings"]["pick"]),
            place_wordings=tuple(values["wordings"]["place"]),
        )


def _named(values: Mapping[str, Any]) -> tuple[Named, ...]:
    return tuple(
        Named(
            noun=noun,
            colours=tuple(of["colours"]),
            names=tuple(of["names"]),
            preposition=of.get("preposition", "on"),
            colour_may_go=str(of.get("colour_may_go", "false")).lower() == "true",
        )
        for noun, of in values.items()
    )


def matching(
    named: Sequence[Named], thing: Thing, *, excluded: Sequence[Thing]
) -> list[tuple[Named, str]]:
    """Return the objects of the vocabulary that a phrase may mean."""
    return [
        (one, colour)
        for one in named
        for colour in one.colours
        if thing.fits(meant := Thing(noun=one.noun, colour=colour))
        and colour not in thing.not_colours
        and not any(other.fits(meant) and _tells(other, thing) for other in excluded)
    ]


def _tells(excluded: Thing, thing: Thing) -> bool:
    """Return whether what is excluded says more than the target's phrase does."""
    return (excluded.colour is not None and thing.colour is None) or (
        excluded.noun is not None and thing.noun is None
    )


def training_patterns(vocabulary: Vocabulary) -> tuple[re.Pattern[str], ...]:
    """Return what the sentences of training look like."""
    objects, places = (_any_of(named) for named in (vocabulary.targets, vocabulary.destinations))
    return tuple(
        re.compile(
            re.escape(wording.lower())
            .replace(r"\{object\}", objects)
            .replace(r"\{destination\}", places)
            .replace(r"\{preposition\}", "(?:on|in)")
        )
        for wording in (*vocabulary.pick_wordings, *vocabulary.place_wordings)
    )


def _any_of(named: Sequence[Named]) -> str:
    phrases = [
        f"{colour}{name}"
        for one in named
        for name in one.names
        for colour in (*(f"{c} " for c in one.colours), *([""] if one.colour_may_go else []))
    ]
    return f"(?:{'|'.join(map(re.escape, phrases))})"
