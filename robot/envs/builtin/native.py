"""Any single-arm task of robosuite's registry by its own name, without a scripted expert.

An episode shows robosuite's own scene and succeeds when robosuite says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robot.envs.builtin.base import BuiltinTask, unwrapped
from robot.envs.task import Expert, Wrap
from robot.types import InputError, Label

PATH = Path(__file__).with_name("native.yaml")
DEFAULT_HORIZON = 500  # control steps


@dataclass(frozen=True)
class Native:
    """One entry of native.yaml; the last of `words` is held out from training."""

    words: tuple[str, ...]
    horizon: int = DEFAULT_HORIZON
    targets: tuple[str, ...] = ()  # bodies
    destinations: tuple[str, ...] = ()  # bodies
    target_prefix: str | None = None  # of bodies, where there are too many to list


@cache
def natives() -> dict[str, Native]:
    """Return native.yaml by the names of the tasks."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return {name: Native(**_frozen(entry)) for name, entry in entries.items()}


def _frozen(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with tuples for lists."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}


def registered() -> dict[str, bool]:
    """Return {name: whether one arm performs it} of robosuite's registry. Imports robosuite."""
    import robosuite  # noqa: F401  (registers its tasks)
    from robosuite.environments.base import REGISTERED_ENVS
    from robosuite.environments.manipulation.manipulation_env import ManipulationEnv
    from robosuite.environments.manipulation.two_arm_env import TwoArmEnv

    return {
        name: not issubclass(cls, TwoArmEnv)
        for name, cls in REGISTERED_ENVS.items()
        if issubclass(cls, ManipulationEnv) and cls.__module__.startswith("robosuite.")
    }


class NativeTask(BuiltinTask):
    """One of robosuite's tasks; one that native.yaml lacks has no labels, and its name as goal."""

    def __init__(self, *, name: str) -> None:
        super().__init__()
        self.name = name
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
        self.native = natives().get(name, Native(words=(spaced,)))
        self.horizon = self.native.horizon

    def make(self, *, wrap: Wrap = unwrapped, **options: Any) -> Any:
        """Build the raw environment.

        The seed is fixed: sizes may be drawn from it while the model loads, and an episode must
        depend on nothing but what `begin` is given.
        """
        import robosuite  # noqa: F401  (registers its tasks)
        from robosuite.environments.base import REGISTERED_ENVS

        return wrap(REGISTERED_ENVS[self.name])(**{**options, "seed": 0})

    def wording(self, *, rng: np.random.Generator, held_out: bool) -> str:
        """Return one of the task's sentences."""
        words = self.native.words
        seen = words[:-1] or words
        return words[-1] if held_out else seen[int(rng.integers(len(seen)))]

    def roles(self, env: Any) -> Mapping[str, Label]:
        """Map body names to TARGET or DESTINATION; child bodies are included."""
        targets, prefix = list(self.native.targets), self.native.target_prefix
        if prefix is not None:
            targets += [name for name in env.sim.model.body_names if name.startswith(prefix)]
        return {
            **dict.fromkeys(targets, Label.TARGET),
            **dict.fromkeys(self.native.destinations, Label.DESTINATION),
        }

    def expert(self, env: Any, *, rng: np.random.Generator) -> Expert:
        """Raise InputError: there is none."""
        raise no_expert(self.name)


def no_expert(task: str) -> InputError:
    """Return what to raise where a task without a scripted expert is to be demonstrated."""
    return InputError(
        f"no scripted expert for {task}; record demonstrations, or train on given data"
    )
