"""Which process of a torchrun this is. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from robot.errors import InputError


@dataclass(frozen=True)
class Place:
    """Process number `rank` of `size`; the first writes, says and decides, the others help."""

    rank: int = 0
    size: int = 1

    @property
    def helps(self) -> bool:
        return self.rank > 0


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Return the place that torchrun gave this process, and those that it starts."""
    return Place(int(environment.get("RANK", 0)), int(environment.get("WORLD_SIZE", 1)))


def refuse_torchrun(command: str) -> None:
    """Raise InputError where torchrun started a command that does not share its training out."""
    if place().size > 1:
        raise InputError(
            f"got torchrun for {command}, expected it for launch/train_given.py: collect first "
            "(launch/collect.py, or recordings), then train on that; cells and arms of one machine "
            "go side by side by workers="
        )
