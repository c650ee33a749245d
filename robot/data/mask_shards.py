"""Which shards of mask frames are learned from, and which are held out for calibration and
measurement.

The held-out ones have numbers of their own, whatever the count: a head that continues one is
then calibrated on frames that neither has learned from. Shards are functions of their number and
the options, so a number means the same everywhere.
"""

from __future__ import annotations

from itertools import count, islice

HELD_OUT = (30, 31)


def split_shards(shards: int) -> tuple[list[int], list[int]]:
    """Return the numbers of `shards` shards in all as (learned, held out); one or two shards are
    both.
    """
    if shards <= len(HELD_OUT):
        return list(range(shards)), list(range(shards))
    learned = islice(
        (number for number in count() if number not in HELD_OUT), shards - len(HELD_OUT)
    )
    return list(learned), list(HELD_OUT)


def shard_numbers(shards: int) -> list[int]:
    """Return all numbers of `shards` shards, in order."""
    learned, held_out = split_shards(shards)
    return sorted({*learned, *held_out})
