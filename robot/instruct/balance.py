"""Multiple choice that words alone do not answer.

A scene's habits leak: ducks are yellow, and one of a thing is more common than three. So a
multiple-choice question becomes a short-answer one where, within a batch of records, an option is
right more often than its share of the options.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from robot.instruct.nearness import coordinates, nearest
from robot.instruct.records import Record

# Of a question, by which an option may be right more often than chance: more adds up over batches.
SURPLUS = 0.25
TELLING = ("object", "objects", "type", "thing", "attribute", "goal", "an_object")  # slots
ROUNDS = 30


def balanced(records: Sequence[Record], *, rng: np.random.Generator) -> list[Record]:
    """Return the records in their order, some of them without their options."""
    keep = [bool(r.options) for r in records]
    right: dict[Hashable, int] = defaultdict(int)
    share: dict[Hashable, float] = defaultdict(float)
    keys = [_keys_of(r) for r in records]

    def count(k: int, sign: int) -> None:
        record = records[k]
        for option, its in keys[k].items():
            for key in its:
                share[key] += sign / len(record.options)
                right[key] += sign * (option == record.answer)

    for k, kept in enumerate(keep):
        if kept:
            count(k, 1)
    order = rng.permutation(len(records)).tolist()
    for _ in range(ROUNDS):
        changed = False
        for k in order:
            answer = keys[k].get(records[k].answer, ())
            if keep[k] and any(right[key] > share[key] + SURPLUS for key in answer):
                keep[k], changed = False, True
                count(k, -1)
        if not changed:
            break
    return [r if kept else replace(r, options=()) for r, kept in zip(records, keep, strict=True)]


def _keys_of(record: Record) -> dict[str, tuple[Hashable, ...]]:
    near = nearest(record.options, record.slots)
    return {option: tuple(_keys(record, option, near=near)) for option in record.options}


def _keys(record: Record, option: str, *, near: str | None) -> Iterator[Hashable]:
    """Yield what a blind reader could remember an option by. Coordinates nobody remembers, but one
    reads which are nearest to those that the question names.
    """
    if coordinates(option):
        if near is not None:
            yield record.generator, "nearest", option == near
        return
    yield record.generator, len(record.options), option
    for slot in TELLING:
        if slot in record.slots:
            yield record.generator, slot, record.slots[slot], option
