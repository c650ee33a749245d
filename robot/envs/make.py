"""An env from its options: what `env=` chooses on the command line."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from robot.envs.arm_spaces import DEFAULT_ROBOT, arm_spaces
from robot.envs.libero.names import HORIZONS as SUITES
from robot.envs.registry import LIBERO, TABLETOP
from robot.envs.robots import check_robot
from robot.spaces import Spaces
from robot.system.cache import ADDED
from robot.system.parse import Count, NotNegative, Positive, options
from robot.types import InputError

if TYPE_CHECKING:
    from robot.envs.simulated import SimulatedEnv

ImageSize = Annotated[int, Field(ge=16, le=1024)]  # pixels, square
Backend = Literal["robosuite", "mujoco", "libero"]
DEFAULT_BACKEND: Backend = "robosuite"
MESH_FACES = 400


@options
class EnvOptions:
    """The config group `env`; but for `backend` the keyword arguments of the env's constructor."""

    backend: Backend = DEFAULT_BACKEND
    robot: str = DEFAULT_ROBOT
    goal: str | None = None
    image_size: ImageSize = 128
    control_dt_s: Positive = 0.05
    horizon: Count | None = None
    shadows: bool = False
    samples: NotNegative = 0
    mesh_faces: Count = MESH_FACES
    suite: str | None = field(default=None, metadata=ADDED)  # of LIBERO: what `task` is by default

    def __post_init__(self) -> None:
        check_backend(self.backend, robot=self.robot)
        check_suite(self.suite, backend=self.backend)
        if self.backend == "mujoco" and self.mesh_faces != MESH_FACES:
            raise InputError(
                f"got env.mesh_faces={self.mesh_faces} with env=mujoco, whose meshes are shipped, "
                "expected none; leave it out, or pass env=robosuite"
            )

    def spaces(self) -> Spaces:
        """Return the spaces of the env that `make_env` makes."""
        return arm_spaces(
            image_size=self.image_size, control_dt_s=self.control_dt_s, robot=self.robot
        )


def check_backend(backend: Backend, *, robot: str, task: str | None = None) -> None:
    """Raise InputError unless a backend has this robot, and can show this task."""
    check_robot(robot)
    if task is not None and (task in LIBERO) != (backend == "libero"):
        expected = "env=libero" if task in LIBERO else "a task of LIBERO, such as libero_object"
        raise InputError(
            f"got task {task!r} with env={backend}, expected {expected}; change one of the two"
        )
    if backend == "robosuite":
        return
    if robot != DEFAULT_ROBOT:
        raise InputError(
            f"got env.robot={robot} with env={backend}, expected {DEFAULT_ROBOT}, the one it has; "
            "leave it out, or pass env=robosuite"
        )
    if backend == "mujoco" and task is not None and task not in TABLETOP:
        raise InputError(
            f"got task {task!r} with env=mujoco, expected a tabletop task, one of "
            f"{', '.join(TABLETOP)}; choose one of these, or pass env=robosuite"
        )


def check_suite(suite: str | None, *, backend: Backend) -> None:
    """Raise InputError unless a suite is one of LIBERO's, and its backend is meant."""
    if suite is None:
        return
    if suite not in SUITES or backend != "libero":
        raise InputError(
            f"got env.suite={suite} with env={backend}, expected one of {', '.join(SUITES)} with "
            "env=libero; choose one of these"
        )


def make_env(task: str, options: EnvOptions) -> SimulatedEnv:
    """Return the env of a task. Imports the simulator; robosuite takes seconds."""
    check_backend(options.backend, robot=options.robot, task=task)
    arguments = asdict(options)
    del arguments["backend"], arguments["suite"]
    if options.backend == "libero":
        from robot.envs.libero.env import LiberoEnv

        del arguments["robot"]
        return LiberoEnv(task=task, **arguments)
    if options.backend == "mujoco":
        from robot.envs.mujoco import MujocoEnv

        del arguments["robot"], arguments["mesh_faces"]
        return MujocoEnv(task=task, **arguments)
    from robot.envs.robosuite import RobosuiteEnv

    return RobosuiteEnv(task=task, **arguments)
