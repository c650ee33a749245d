"""`<simulator>/<task>/<scene>` on a command line: where scenes are staged."""

from __future__ import annotations

from typing import get_args

from robot.envs.make import Backend, check_backend
from robot.envs.registry import TABLETOP, check_scene
from robot.instruct.registry import MULTI_FRAME, SINGLE_FRAME
from robot.rollout.generate import Engine, Staged
from robot.rollout.raw_frames import check_named
from robot.types import InputError


def staged(text: str) -> Staged:
    """Return `<simulator>/<task>/<scene>`; raise InputError for one that does not exist."""
    parts = text.split("/")
    if len(parts) != 3 or parts[0] not in get_args(Backend):
        raise InputError(
            f"got simulated={text}, expected <simulator>/<task>/<scene>, the simulator one of "
            f"{', '.join(get_args(Backend))}; for example mujoco/pick/distract"
        )
    backend, task, scene = parts
    check_scene(task, scene)
    check_backend(backend, robot="Panda", task=task)  # type: ignore[arg-type]
    check_named(task)
    return Staged(backend, task, scene)  # type: ignore[arg-type]


def check_asked(engine: Engine) -> None:
    """Raise InputError for an unknown generator, or moments that a task cannot be posed at."""
    known = (*SINGLE_FRAME, *MULTI_FRAME)
    if unknown := [name for name in engine.generators if name not in known]:
        raise InputError(
            f"got generators=[{unknown[0]}], expected some of {', '.join(known)}; leave it empty "
            "for all"
        )
    others = [task.task for task in engine.tasks if task.task not in TABLETOP]
    if engine.moments == "staged" and others:
        raise InputError(
            f"got moments=staged with task {others[0]}, expected tasks of the tabletop: "
            f"{', '.join(TABLETOP)}; pass moments=expert"
        )
