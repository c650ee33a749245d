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
        option: min(sum(abs(a - b) for a, b in zip(place, other, strict=True)) for other in alike)
        for option in options
        if (place := coordinates(option))
        and (alike := [other for other in named if len(other) == len(place)])
    }
    return min(distances, key=distances.__getitem__, default=None)
