"""Modules that know the keyword arguments that rebuild them: what a checkpoint keeps beside their
weights.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch import nn

from robot.policy.config import EncoderConfig
from robot.policy.normalize import check_statistics

P = ParamSpec("P")
M = TypeVar("M", bound="Rebuildable")

# Arguments that come in several forms, and how each is kept: as JSON, with all its defaults.
AS_JSON: dict[str, Callable[[Any], Any]] = {
    "statistics": check_statistics,
    "encoder": lambda encoder: EncoderConfig.of(encoder).to_json(),
}


class Rebuildable(nn.Module):
    """A module whose constructor is decorated with `keeps_arguments`."""

    _arguments: dict[str, Any]

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this module, statistics included, as JSON."""
        return dict(self._arguments)


def keeps_arguments(
    constructor: Callable[Concatenate[M, P], None],
) -> Callable[Concatenate[M, P], None]:
    """Decorate the constructor of a `Rebuildable`, so that `config()` returns the keyword arguments
    that it was called with, and the defaults of all others.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def keeping(self: M, *args: P.args, **kwargs: P.kwargs) -> None:
        constructor(self, *args, **kwargs)
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        _, *named = given.arguments.items()  # without self
        self._arguments = {
            name: AS_JSON[name](value) if name in AS_JSON else value for name, value in named
        }

    return keeping
