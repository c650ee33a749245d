"""An env from its options: what `env=` chooses on the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from robot.envs.robots import DEFAULT_ROBOT, check_robot
from robot.spaces import Spaces
from robot.system.parse import Count, NotNegative, Positive, options

if TYPE_CHECKING:
    from robot.envs.robosuite import RobosuiteEnv

ImageSize = Annotated[int, Field(ge=16, le=1024)]  # pixels, square


@options
class EnvOptions:
    """The config group `env`; but for `backend` the keyword arguments of the env's constructor."""

    backend: Literal["robosuite"] = "robosuite"
    robot: str = DEFAULT_ROBOT
    goal: str | None = None
    image_size: ImageSize = 128
    control_dt_s: Positive = 0.05
    horizon: Count | None = None
    shadows: bool = False
    samples: NotNegative = 0
    mesh_faces: Count = 400

    def __post_init__(self) -> None:
        check_robot(self.robot)

    def spaces(self) -> Spaces:
        """Return the spaces of the env that `make_env` makes."""
        from robot.envs.robosuite import robosuite_spaces

        return robosuite_spaces(
            image_size=self.image_size, control_dt_s=self.control_dt_s, robot=self.robot
        )


def make_env(task: str, options: EnvOptions) -> RobosuiteEnv:
    """Return the env of a task. Imports the simulator, which takes seconds."""
    from robot.envs.robosuite import RobosuiteEnv

    arguments = asdict(options)
    del arguments["backend"]
    return RobosuiteEnv(task=task, **arguments)
