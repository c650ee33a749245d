"""What a robosuite-backed task has to say for itself, and what its scripted expert looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from robot.types import Label


class Expert(Protocol):
    """A scripted policy from privileged state. A fresh one is made for every episode."""

    def act(self) -> np.ndarray:
        """Return the next physical action (7,): delta position m, delta rotation vector rad, gripper target 0..1 (1 open)."""
        ...


class RobosuiteTask(Protocol):
    """One task on a live robosuite environment `env` (the raw object that `robosuite.make` returns)."""

    name: str
    horizon: int  # control steps

    def make(self, **options: Any) -> Any:
        """Build the raw robosuite environment, renderers off; `options` are the robosuite keywords shared by every task."""
        ...

    def goal(self, env: Any, *, rng: np.random.Generator, held_out: bool) -> str:
        """Return one of many wordings of the current episode's goal; a tenth of the wordings are held out."""
        ...

    def roles(self, env: Any) -> Mapping[str, Label]:
        """Map body names to TARGET or DESTINATION for the current goal (their geoms and child bodies are included)."""
        ...

    def success(self, env: Any) -> bool: ...

    def expert(self, env: Any, *, rng: np.random.Generator) -> Expert: ...
