"""The type checker behind jaxtyping's import hook: beartype, less the single hints that it cannot check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype
from beartype.roar import BeartypeDecorHintException


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with beartype; leave out hints it rejects, such as Self or a Protocol that isinstance() refuses."""
    try:
        return beartype(function)
    except BeartypeDecorHintException:
        hints = function.__annotations__
        function.__annotations__ = {name: hint for name, hint in hints.items() if _checkable(function, name, hint)}
        return beartype(function)


def _checkable(function: Callable[..., Any], name: str, hint: Any) -> bool:
    function.__annotations__ = {name: hint}
    try:
        beartype(function)
    except BeartypeDecorHintException:
        return False
    return True
