"""Masks as COCO writes them: run lengths down the columns, as one short text. `encode` and `decode`
are inverses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Bool

from robot.types import InputError


class Rle(TypedDict):
    """A mask as JSON."""

    size: Sequence[int]  # height, width
    counts: str


def encode(mask: Bool[np.ndarray, "h w"]) -> Rle:
    """Return {"size": [height, width], "counts": text}, which pycocotools reads."""
    pixels = mask.ravel(order="F")
    starts = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff([0, *starts, pixels.size]).tolist()
    if pixels.size and pixels[0]:
        counts.insert(0, 0)  # the first run is of zeros
    return {"size": list(mask.shape), "counts": _to_text(counts)}


def decode(rle: Rle) -> Bool[np.ndarray, "h w"]:
    """Return the mask. InputError where the runs do not fill it."""
    height, width = rle["size"]
    counts = _to_counts(rle["counts"])
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise InputError(
            f"got runs of {sum(counts)} pixels for a mask of {height} x {width}, expected "
            f"{height * width}; pass the counts with their own size"
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def _to_text(counts: list[int]) -> str:
    """Write counts, from the fourth on as the difference from the one two before, five bits a
    letter, the lowest first.
    """
    letters = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if bits & 0x10 else 0)  # the top bit is the sign
            letters.append(chr(48 + bits + (0x20 if more else 0)))
    return "".join(letters)


def _to_counts(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
