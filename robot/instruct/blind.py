"""How well multiple choice is answered without looking: by a reader that has learned, from other
records, which options tend to be right after which words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robot.instruct.nearness import nearest

PRIOR = 4.0  # questions' worth of belief that an option is right as often as by chance


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question as words."""

    generator: str
    slots: Mapping[str, str]
    options: Sequence[str]
    answer: str


@dataclass(frozen=True)
class Blind:
    """What the reader achieves on the half that it has not learned from."""

    questions: int
    correct: float
    chance: float

    @property
    def above_chance_points(self) -> float:
        return 100 * (self.correct - self.chance)


def blind(choices: Sequence[Choice]) -> Blind:
    """Learn from every even question, answer every odd one; and the other way round."""
    halves = choices[::2], choices[1::2]
    hits = sum(_hits(learned, asked) for learned, asked in (halves, halves[::-1]))
    chance = sum(1 / len(c.options) for c in choices)
    count = max(1, len(choices))
    return Blind(questions=len(choices), correct=hits / count, chance=chance / count)


def _hits(learned: Sequence[Choice], asked: Sequence[Choice]) -> float:
    right: dict[tuple, float] = defaultdict(float)
    seen: dict[tuple, float] = defaultdict(float)
    for c in learned:
        for option, cues in zip(c.options, _cues_of(c), strict=True):
            for key in cues:
                right[key] += option == c.answer
                seen[key] += 1
    return sum(_answer(c, right, seen) == c.answer for c in asked)


def _answer(c: Choice, right: Mapping[tuple, float], seen: Mapping[tuple, float]) -> str:
    """Return the option whose cues, multiplied, speak most for it; the first of equals."""
    chance = 1 / len(c.options)

    def score(cues: Sequence[tuple]) -> float:
        product = 1.0
        for key in cues:
            product *= (
                (right.get(key, 0.0) + PRIOR * chance) / (seen.get(key, 0.0) + PRIOR) / chance
            )
        return product

    scores = [score(cues) for cues in _cues_of(c)]
    return c.options[scores.index(max(scores))]


def _cues_of(c: Choice) -> list[list[tuple]]:
    near = nearest(c.options, c.slots)
    return [_cues(c, k, near=near) for k in range(len(c.options))]


def _cues(c: Choice, k: int, *, near: str | None) -> list[tuple]:
    """Return what a reader can hold on to: the option, its place, each word it goes with, and
    whether the question all but says it.
    """
    option = c.options[k]
    spoken = [(c.generator, name, value, option) for name, value in c.slots.items()]
    echoes = any(option in value for name, value in c.slots.items() if name != "candidates")
    return [
        *([] if near is None else [(c.generator, "nearest", option == near)]),
        (c.generator, len(c.options), option),
        (c.generator, len(c.options), "place", k),
        (c.generator, "echo", echoes),
        *spoken,
    ]
