"""Every task by name."""

from __future__ import annotations

from robot.envs.task import RobosuiteTask
from robot.types import InputError

TABLETOP = (
    "pick",
    "place",
    "place_any",
    "red_cup_on_red_plate",
    "red_cup_on_silver_pan",
    "duck_in_pot",
    "duck_on_green_plate",
)
BUILTIN = ("lift", "stack", "can", "door")
TASKS = (*TABLETOP, *BUILTIN)


def make_task(name: str) -> RobosuiteTask:
    """Return a task by name, or say which there are. Imports robosuite, which takes seconds."""
    if name in TABLETOP:
        from robot.envs.tabletop.task import TabletopTask

        return TabletopTask(name=name)
    if name in BUILTIN:
        from robot.envs.builtin import make_builtin

        return make_builtin(name)
    raise InputError(f"got task {name!r}, expected one of {', '.join(TASKS)}; choose one of these")


def check_scene(task: str, scene: str) -> None:
    """Raise InputError unless there is such a task and it can be shown in `scene`."""
    from robot.envs.builtin.base import supported_condition
    from robot.envs.tabletop.scene import condition

    if task not in TASKS:
        raise InputError(
            f"got task {task!r}, expected one of {', '.join(TASKS)}; choose one of these"
        )
    if task in BUILTIN:
        supported_condition(scene)
    else:
        condition(scene)
