"""Read what a problem file of LIBERO (BDDL, S-expressions) asks for, without LIBERO's packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robot.types import InputError

TOKEN = re.compile(r"[()]|[^\s()]+")


@dataclass(frozen=True)
class Problem:
    """`words` in lower case, as LIBERO's own reader has them; `goals` are predicates with their
    arguments, all of which must hold; `objects` maps the name of an object to its kind.
    """

    words: str
    goals: tuple[tuple[str, ...], ...]
    objects: Mapping[str, str]


def read_problem(text: str) -> Problem:
    """Return the sentence, the goal and the objects of a problem file."""
    sections: dict[str, list[Any]] = {}
    for section in _tree(text)[1:]:
        if isinstance(section, list) and section and isinstance(section[0], str):
            sections[section[0].lower()] = section[1:]
    if missing := [name for name in (":language", ":goal", ":objects") if name not in sections]:
        raise InputError(
            f"got a problem file without {', '.join(missing)}, expected LIBERO's BDDL; reinstall "
            "its packages"
        )
    return Problem(
        words=" ".join(sections[":language"]).lower(),
        goals=tuple(_predicates(sections[":goal"][0])),
        objects=_typed(sections[":objects"]),
    )


def _tree(text: str) -> list[Any]:
    """Return the outermost list of an S-expression."""
    stack: list[list[Any]] = [[]]
    for token in TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")" and len(stack) > 1:
            finished = stack.pop()
            stack[-1].append(finished)
        else:
            stack[-1].append(token)
    if len(stack) != 1 or not stack[0] or not isinstance(stack[0][0], list):
        raise InputError(
            "got a problem file cut off, expected LIBERO's BDDL; reinstall its packages"
        )
    return stack[0][0]


def _predicates(goal: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    """Yield the predicates of a conjunction, names in lower case."""
    name, *arguments = goal
    if name.lower() != "and":
        yield (name.lower(), *arguments)
        return
    for part in arguments:
        yield from _predicates(part)


def _typed(names: Sequence[str]) -> dict[str, str]:
    """Return {name: kind} of a typed list, `a b - kind c - other`."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    items = iter(names)
    for name in items:
        if name == "-":
            kind = next(items)
            found |= dict.fromkeys(waiting, kind)
            waiting = []
        else:
            waiting.append(name)
    return found
