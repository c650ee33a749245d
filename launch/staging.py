"""`<simulator>/<task>/<scene>` on a command line: where scenes are staged."""

from __future__ import annotations

from typing import get_args

from robot.envs.make import Backend, check_backend
from robot.envs.registry import check_scene
from robot.rollout.generate import Staged
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
