"""robosuite's own Lift, Stack, PickPlaceCan and Door, with goal wordings and scripted experts."""

from __future__ import annotations

from importlib import import_module

from robot.envs.task import RobosuiteTask
from robot.errors import InputError, one_of

# classes in modules of their tasks' names, imported with the task: they bring scipy
TASKS = {"lift": "LiftTask", "stack": "StackTask", "can": "CanTask", "door": "DoorTask"}


def make_builtin(name: str) -> RobosuiteTask:
    """Return a fresh task by name, or say which there are."""
    if name not in TASKS:
        raise InputError(f"got task {name!r}, {one_of(name, TASKS)}")
    return getattr(import_module(f"{__name__}.{name}"), TASKS[name])()
