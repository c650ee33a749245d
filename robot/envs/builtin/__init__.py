"""robosuite's own Lift, Stack, PickPlaceCan and Door, with goal wordings and scripted experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot.envs.builtin.can import CanTask
from robot.envs.builtin.door import DoorTask
from robot.envs.builtin.lift import LiftTask
from robot.envs.builtin.stack import StackTask
from robot.envs.task import RobosuiteTask

TASKS: Mapping[str, RobosuiteTask] = {task.name: task for task in (LiftTask(), StackTask(), CanTask(), DoorTask())}


def reseed(env: Any, *, seed: int | tuple[int, ...]) -> None:
    """Make the next `env.reset()` a function of `seed` alone, for example (seed, episode).

    In place, because robosuite's placement samplers keep the generator that the environment was built with: assigning a
    new one to `env.rng` would leave them on the old one.
    """
    env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
