"""The type checker behind jaxtyping's import hook: beartype, less the single hints that it cannot
check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

typed = beartype(
    conf=BeartypeConf(is_pep484_tower=True)
)  # PEP 484: an int will do where a float is asked for


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with beartype; leave out hints it rejects, such as Self or a Protocol that
    isinstance() refuses.
    """
    try:
        return typed(function)
    except BeartypeDecorHintException:
        hints = function.__annotations__
        function.__annotations__ = {
            name: hint for name, hint in hints.items() if _checkable(function, name, hint)
        }
        return typed(function)


def _checkable(function: Callable[..., Any], name: str, hint: Any) -> bool:
    function.__annotations__ = {name: hint}
    try:
        typed(function)
    except BeartypeDecorHintException:
        return False
    return True
