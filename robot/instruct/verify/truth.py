"""What a question's answer has to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from robot.instruct.records import Record
from robot.instruct.verify.reading import Picture

Part = tuple[int, int]  # (image, id)


@dataclass(frozen=True)
class Truth:
    """`right` decides about every answer; `mask` is what the answer shows, and `also` what else is
    needed to decide.
    """

    right: Callable[[str], bool]
    mask: frozenset[Part] = frozenset()
    also: frozenset[Part] = frozenset()


Check = Callable[[Sequence[Picture], Mapping[str, str], Record], Truth]
CHECKS: dict[str, Check] = {}


def checks(*names: str) -> Callable[[Check], Check]:
    """Register what derives the answer of the generators of these names."""

    def register(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


def parts(image: int, ids) -> frozenset[Part]:
    return frozenset((image, i) for i in ids)


def exactly(expected: object) -> Callable[[str], bool]:
    return lambda answer: answer == str(expected)
