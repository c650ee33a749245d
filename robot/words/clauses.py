"""Items -> clauses, and a cursor to read one with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robot.words.items import Item, Thing


@dataclass(frozen=True)
class Clause:
    """Items between two marks or conjunctions; `join` says what stood before it."""

    items: tuple[Item, ...]
    join: str  # "", "soft", "hard", "and", "or", "but"
    question: bool = False
    sentence: int = 0


_JOINS = ("and", "or", "but")


def clauses_of(items: Sequence[Item]) -> list[Clause]:
    found: list[Clause] = []
    part: list[Item] = []
    join, sentence = "hard", 0

    def close(question: bool = False) -> None:
        nonlocal part, join
        if part:
            found.append(Clause(tuple(part), join, question, sentence))
            part, join = [], ""

    for k, item in enumerate(items):
        if item.mark:
            close(item.mark == "question")
            join = "soft" if item.mark == "soft" and join not in _JOINS else item.mark
            sentence += item.mark != "soft"
        elif item.is_a(*_JOINS) and not item.thing and not (item.is_a("fillers") and not part):
            close()
            join = next(kind for kind in _JOINS if item.is_a(kind))
        elif any(i.thing for i in part) and _begins_clause(item, items[k + 1 :], part):
            close()
            join, part = "soft", [item]
        else:
            part.append(item)
    close()
    return found


def _begins_clause(item: Item, rest: Sequence[Item], before: Sequence[Item]) -> bool:
    """Return whether a clause begins within a run of words: "..., not the red one", "instead of
    the ball take the cup".
    """
    if not rest or rest[0].mark:
        return False
    if item.is_a("negations", "corrects", "conditions") and not item.is_a("stays"):
        return True
    led = next((i for i in before if not i.is_a("fillers")), before[0])
    return (
        led.is_a("negations")
        and item.is_a("take", "bring", "place", "want")
        and has_object(Cursor(rest))
    )


class Cursor:
    """Reads a clause from left to right; words that say nothing are passed over."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items, self.k = items, 0

    @property
    def here(self) -> Item | None:
        return self.items[self.k] if self.k < len(self.items) else None

    def take(self, *kinds: str) -> Item | None:
        """Return the next item if it is one of these, passing over fillers before it."""
        for k in range(self.k, len(self.items)):
            if self.items[k].is_a(*kinds):
                self.k = k + 1
                return self.items[k]
            if not self.items[k].is_a("fillers"):
                return None
        return None

    def thing(self) -> Thing | None:
        for k in range(self.k, len(self.items)):
            if self.items[k].thing:
                self.k = k + 1
                return self.items[k].thing
            if not self.items[k].is_a("fillers"):
                return None
        return None

    def particles(self) -> None:
        """Pass over particles, but for one that says where from: "off table"."""
        while (k := self.k) < len(self.items) and self.take("particles"):
            if (
                self.here is not None
                and self.here.is_a("places")
                and self.items[self.k - 1].is_a("sources")
            ):
                self.k = k
                return

    def done(self) -> bool:
        return all(item.is_a("fillers", "particles") for item in self.items[self.k :])


def has_object(rest: Cursor) -> bool:
    """Return whether an object follows a verb, perhaps after a particle."""
    probe = Cursor(rest.items)
    while probe.take("particles", "negations"):
        pass
    return probe.thing() is not None or probe.take("pronouns") is not None
