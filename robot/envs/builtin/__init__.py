"""robosuite's own Lift, Stack, PickPlaceCan and Door, with goal wordings and scripted experts."""

from __future__ import annotations

from robot.envs.builtin.can import CanTask
from robot.envs.builtin.door import DoorTask
from robot.envs.builtin.lift import LiftTask
from robot.envs.builtin.stack import StackTask
from robot.envs.task import RobosuiteTask
from robot.types import InputError

TASKS = {"lift": LiftTask, "stack": StackTask, "can": CanTask, "door": DoorTask}


def make_builtin(name: str) -> RobosuiteTask:
    """Return a fresh task by name, or say which there are."""
    if name not in TASKS:
        raise InputError(
            f"got task {name!r}, expected one of {', '.join(TASKS)}; choose one of these"
        )
    return TASKS[name]()
