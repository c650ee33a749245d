"""The error that is a person's to fix; every module may raise it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input from a person: one sentence with got, expected and what to do. Commands turn it
    into exit code 2.
    """


def one_of(name: object, known: Iterable[str], *, do: str = "choose one of these") -> str:
    """Return the second half of a sentence about a `name` that is none of `known`: what was
    expected, and what to `do` where no spelling is near.
    """
    names = [str(each) for each in known]
    return f"expected one of {', '.join(names)}; {meant(name, names, do=do)}"


def meant(name: object, known: Iterable[str], *, do: str) -> str:
    """Return the question whether the nearest of `known` was meant, or what to `do` where none is
    near.
    """
    spelling = {each.lower(): each for each in known}
    near = get_close_matches(str(name).lower(), spelling, n=1)
    return f"did you mean {spelling[near[0]]}?" if near else do
