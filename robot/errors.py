"""The error that is a person's to fix; every module may raise it."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input from a person: one sentence with got, expected and what to do. Commands turn it
    into exit code 2.
    """
