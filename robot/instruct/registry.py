"""All generators by name, filled by the decorators below.

A generator is a pure function of a scene graph (or a sequence of them) and a random generator. What
it decides is a Draft; the decorator words it. It yields nothing where it abstains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import numpy as np

from robot.instruct.graph import SceneGraph
from robot.instruct.records import Dots, Record, Shown
from robot.instruct.wording import templates

Rng = np.random.Generator
Over = Literal["views", "times", "episodes"]  # what differs along a sequence
CHOICE_SHARE = 0.5  # of the questions with wrong answers at hand are multiple choice
OPTIONS = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it is worded. `wrong` are answers that are false, best first."""

    slots: Mapping[str, str]
    answer: str
    wrong: Sequence[str] = ()
    answer_mask: Shown = ()
    also: Shown = ()  # relevant besides the answer
    answer_points: Dots = ()
    frames: tuple[int, ...] = (0,)
    margin: float | None = None
    unit: str = ""


SingleFrame = Callable[[SceneGraph, Rng], Iterator[Record]]
MultiFrame = Callable[[Sequence[SceneGraph], Rng], Iterator[Record]]
SINGLE_FRAME: dict[str, SingleFrame] = {}
MULTI_FRAME: dict[str, MultiFrame] = {}
OVER: dict[str, tuple[Over, ...]] = {}  # what the sequences of a multi-frame generator may be


def single_frame(draft: Callable[[SceneGraph, Rng], Iterator[Draft]]) -> SingleFrame:
    """Register a generator of questions about one frame under the function's name."""
    name = draft.__name__

    @wraps(draft)
    def generate(graph: SceneGraph, rng: Rng) -> Iterator[Record]:
        return _worded(name, draft(graph, rng), rng)

    SINGLE_FRAME[name] = generate
    return generate


def multi_frame(
    *over: Over,
) -> Callable[[Callable[[Sequence[SceneGraph], Rng], Iterator[Draft]]], MultiFrame]:
    """Register a generator of questions about sequences that differ in one of `over`."""

    def register(draft: Callable[[Sequence[SceneGraph], Rng], Iterator[Draft]]) -> MultiFrame:
        name = draft.__name__

        @wraps(draft)
        def generate(graphs: Sequence[SceneGraph], rng: Rng) -> Iterator[Record]:
            return _worded(name, draft(graphs, rng), rng)

        MULTI_FRAME[name], OVER[name] = generate, over
        return generate

    return register


def _worded(name: str, drafts: Iterator[Draft], rng: Rng) -> Iterator[Record]:
    """Word drafts; a question that was asked already is left out."""
    texts, asked = templates(name), set()
    for draft in drafts:
        number = int(rng.random() * len(texts))
        question = texts[number].format_map(draft.slots)
        options = _options(draft, rng)
        if (question, draft.frames) in asked:
            continue
        asked.add((question, draft.frames))
        yield Record(
            generator=name,
            template=number,
            slots=draft.slots,
            question=question,
            answer=draft.answer,
            options=options,
            frames=draft.frames,
            answer_mask=draft.answer_mask,
            relevance_mask=tuple(dict.fromkeys((*draft.answer_mask, *draft.also))),
            answer_points=draft.answer_points,
            margin=draft.margin,
            unit=draft.unit,
        )


def _options(draft: Draft, rng: Rng) -> tuple[str, ...]:
    """Return the answer among wrong ones, at any place alike; nothing for a short answer."""
    if not draft.wrong or rng.random() >= CHOICE_SHARE:
        return ()
    wrong = list(draft.wrong[: OPTIONS - 1])
    wrong.insert(int(rng.random() * (len(wrong) + 1)), draft.answer)
    return tuple(wrong)
