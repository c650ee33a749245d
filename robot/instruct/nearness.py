"""Options that are coordinates, against those that a question names itself: a thing that stood
still is where it was, and needs no looking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def coordinates(text: str) -> tuple[float, ...]:
    """Return the numbers of "(x, y)" or "[x, y, x, y]"; none where a text is neither."""
    return tuple(map(float, NUMBER.findall(text))) if text[:1] in ("(", "[") else ()


def nearest(options: Sequence[str], slots: Mapping[str, str]) -> str | None:
    """Return the option nearest to coordinates of a question's slots, as many numbers as it has
    itself; None where there is nothing to compare.
    """
    named = [place for value in slots.values() if (place := coordinates(value))]
    distances = {
        option: min(_distance(place, coordinates(option)) for place in named)
        for option in options
        if any(len(place) == len(coordinates(option)) for place in named)
    }
    return min(distances, key=distances.__getitem__, default=None)


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) if len(a) == len(b) else float("inf")
