"""Phrases that the reader is asked about in training and measurement: "red cube", "mug", "pan
handle", and which of them are true of a region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from robot.perception.regions.truth import TrueRegion
from robot.perception.regions.vocabulary import vocabulary


@dataclass(frozen=True)
class Phrase:
    """Words, and what they mean: a plain name, a plain colour, a part; None where they leave it
    open.
    """

    text: str
    name: str | None
    colour: str | None
    part: str


@cache
def all_phrases() -> tuple[Phrase, ...]:
    """Return every phrase, the plain words of a meaning first."""
    known = vocabulary()
    phrases = []
    for name, called in known.names.items():
        for noun in called:
            phrases.append(Phrase(noun, name, None, "whole"))
            if name in known.held_out:
                for colour, shades in known.colours.items():
                    phrases += [Phrase(f"{s} {noun}", name, colour, "whole") for s in shades]
    for colour, shades in known.colours.items():
        phrases += [Phrase(f"{s} thing", None, colour, "whole") for s in shades]
    for name, parts in known.parts_of.items():
        for part in dict.fromkeys(p for p in parts if p is not None):
            phrases += [Phrase(f"{noun} {part}", name, None, part) for noun in known.names[name]]
    phrases.append(Phrase("gripper finger", "gripper", None, "finger"))
    return tuple(phrases)


@cache
def seen_phrases() -> tuple[int, ...]:
    """Return the phrases that name no combination that is held out."""
    known = vocabulary()
    return tuple(
        k
        for k, p in enumerate(all_phrases())
        if p.name is None or not known.is_held_out(p.name, p.colour)
    )


@cache
def phrases_of(name: str | None, colour: str | None, part: str) -> tuple[int, ...]:
    """Return the phrases of one meaning."""
    return tuple(
        k for k, p in enumerate(all_phrases()) if (p.name, p.colour, p.part) == (name, colour, part)
    )


def is_true(phrase: Phrase, region: TrueRegion) -> bool | None:
    """Return whether a phrase is true of a region; None where that is not known."""
    if region.part != phrase.part or phrase.name not in (None, region.words["names"]):
        return False
    if phrase.colour is None:
        return True
    colour = region.words.get("colours")
    return None if colour is None else colour == phrase.colour


def true_phrase(region: TrueRegion, *, rng: np.random.Generator) -> int | None:
    """Draw a phrase that is true of a region, most often one with its colour; None where there is
    none.
    """
    name, colour = region.words["names"], region.words.get("colours")
    part = region.part or "whole"
    meanings = [(name, None, part)]
    if colour is not None and part == "whole":
        meanings = [(name, colour, part)] * 3 + [(None, colour, part)] + meanings
    options = phrases_of(*meanings[rng.integers(len(meanings))])
    return int(rng.choice(options)) if options else None


def false_phrase(
    region: TrueRegion, others: Sequence[TrueRegion], *, rng: np.random.Generator
) -> int | None:
    """Draw a phrase that is false of a region: what another region is called, its own words but
    one, or any.
    """
    name, colour = region.words["names"], region.words.get("colours")
    known = vocabulary()
    for _ in range(8):
        kind = rng.random()
        if kind < 0.4 and others:
            drawn = true_phrase(others[rng.integers(len(others))], rng=rng)
        elif kind < 0.6 and name in known.held_out:
            options = phrases_of(name, str(rng.choice(list(known.colours))), "whole")
            drawn = int(rng.choice(options))
        elif kind < 0.8 and colour is not None:
            options = phrases_of(str(rng.choice(list(known.held_out))), colour, "whole")
            drawn = int(rng.choice(options))
        else:
            drawn = int(rng.choice(seen_phrases()))
        if drawn in _seen() and is_true(all_phrases()[drawn], region) is False:
            return drawn
    return None


@cache
def _seen() -> frozenset[int]:
    return frozenset(seen_phrases())
