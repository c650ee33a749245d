"""Every task by name."""

from __future__ import annotations

from robot.envs.libero.names import HORIZONS as LIBERO_HORIZONS
from robot.envs.libero.names import NAMES as LIBERO
from robot.envs.libero.names import WITH_EXPERT, TaskName, check_libero_scene
from robot.envs.task import Task
from robot.errors import InputError, one_of

TABLETOP = (
    "pick",
    "pick_related",
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
TWO_ARMS = (
    "TwoArmHandover",
    "TwoArmLift",
    "TwoArmPegInHole",
    "TwoArmTransport",
)  # robosuite's own that one arm cannot do
# Control steps of an episode unless an env is asked for others: what Gymnasium has to know of a
# task before it is made. Tested against the tasks' own.
HORIZONS = {
    **{name: 150 if name.startswith("pick") else 240 for name in TABLETOP},
    "lift": 100,
    "stack": 200,
    "can": 250,
    "door": 300,
    "Lift": 200,
    "Stack": 300,
    "NutAssembly": 800,
    "NutAssemblySingle": 400,
    "NutAssemblySquare": 400,
    "NutAssemblyRound": 400,
    "PickPlace": 1000,
    "PickPlaceSingle": 400,
    "PickPlaceMilk": 400,
    "PickPlaceBread": 400,
    "PickPlaceCereal": 400,
    "PickPlaceCan": 400,
    "Door": 400,
    "Wipe": 500,
    "ToolHang": 800,
    **{name: LIBERO_HORIZONS[TaskName.of(name).suite] for name in LIBERO},
}


def make_task(name: str) -> Task:
    """Return a task by name, or say which there are."""
    check_task(name)
    if name in TABLETOP:
        from robot.envs.tabletop.task import TabletopTask

        return TabletopTask(name=name)
    if name in LIBERO:
        from robot.envs.libero.task import LiberoTask

        return LiberoTask(name=name)
    if name in BUILTIN:
        from robot.envs.builtin import make_builtin

        return make_builtin(name)
    from robot.envs.builtin.native import NativeTask

    return NativeTask(name=name)


def check_task(name: str) -> None:
    """Raise InputError unless there is such a task."""
    if name in (*TASKS, *NATIVE, *LIBERO):
        return
    if name.startswith("libero"):
        suites = ", ".join(LIBERO_HORIZONS)
        raise InputError(
            f"got task {name!r}, expected one of {suites}, or one of their tasks, such as "
            "libero_object-0; choose one of these"
        )
    choices = ", ".join((*TASKS, *NATIVE))
    if name in TWO_ARMS:
        raise InputError(
            f"got task {name!r}, which takes two arms, expected one for a single arm: {choices}; "
            "choose one of these"
        )
    raise InputError(f"got task {name!r}, {one_of(name, (*TASKS, *NATIVE))}")


def check_scene(task: str, scene: str) -> None:
    """Raise InputError unless there is such a task and it can be shown in `scene`."""
    from robot.envs.builtin.base import supported_condition
    from robot.envs.tabletop.conditions import condition

    check_task(task)
    if task in LIBERO:
        check_libero_scene(task, scene)
    elif task in TABLETOP:
        condition(scene)
    else:
        supported_condition(scene)


def check_expert(task: str) -> None:
    """Raise InputError unless a scripted expert can demonstrate the task."""
    from robot.envs.builtin.native import no_expert

    if task in LIBERO and TaskName.of(task).suite in WITH_EXPERT:
        return
    if task not in TASKS:
        raise no_expert(task)
