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
TASKS = (*TABLETOP, *BUILTIN)  # with a scripted expert
# robosuite's own for one arm, without one. Listed here, because asking robosuite takes seconds.
NATIVE = (
    "Lift",
    "Stack",
    "NutAssembly",
    "NutAssemblySingle",
    "NutAssemblySquare",
    "NutAssemblyRound",
    "PickPlace",
    "PickPlaceSingle",
    "PickPlaceMilk",
    "PickPlaceBread",
    "PickPlaceCereal",
    "PickPlaceCan",
    "Door",
    "Wipe",
    "ToolHang",
)


def make_task(name: str) -> RobosuiteTask:
    """Return a task by name, or say which there are. Imports robosuite, which takes seconds."""
    check_task(name)
    if name in TABLETOP:
        from robot.envs.tabletop.task import TabletopTask

        return TabletopTask(name=name)
    if name in BUILTIN:
        from robot.envs.builtin import make_builtin

        return make_builtin(name)
    from robot.envs.builtin.native import NativeTask

    return NativeTask(name=name)


def check_task(name: str) -> None:
    """Raise InputError unless there is such a task; robosuite's registry is asked last."""
    if name in (*TASKS, *NATIVE):
        return
    from robot.envs.builtin.native import registered

    choices = ", ".join((*TASKS, *NATIVE))
    known = registered()
    if name not in known:
        raise InputError(f"got task {name!r}, expected one of {choices}; choose one of these")
    if not known[name]:
        raise InputError(
            f"got task {name!r}, which takes two arms, expected one for a single arm: {choices}; "
            "choose one of these"
        )


def check_scene(task: str, scene: str) -> None:
    """Raise InputError unless there is such a task and it can be shown in `scene`."""
    from robot.envs.builtin.base import supported_condition
    from robot.envs.tabletop.scene import condition

    check_task(task)
    if task in TABLETOP:
        condition(scene)
    else:
        supported_condition(scene)


def check_expert(task: str) -> None:
    """Raise InputError unless a scripted expert can demonstrate the task."""
    from robot.envs.builtin.native import no_expert

    if task not in TASKS:
        raise no_expert(task)
