"""Any robosuite task behind the env API: robosuite's models, its arms, its OSC_POSE controller."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from robot.envs.arm_spaces import CONTROL_DT_S, DEFAULT_ROBOT, MAX_DELTA_M, MAX_DELTA_RAD
from robot.envs.decimate import accelerate
from robot.envs.render import SceneRenderer
from robot.envs.robots import arm_of, check_robot
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.task import TabletopTask
from robot.envs.task import Task, Wrap


class RobosuiteEnv(SimulatedEnv):
    """A robosuite task with one of the arms of robot.envs.robots and OSC_POSE."""

    def __init__(
        self,
        *,
        task: str,
        robot: str = DEFAULT_ROBOT,
        goal: str | None = None,
        scene: str = "clean",
        image_size: int = 128,
        control_dt_s: float = CONTROL_DT_S,
        horizon: int | None = None,
        segmentation: bool = False,
        shadows: bool = False,
        samples: int = 0,
        mesh_faces: int = 400,
        render_mode: str | None = "rgb_array",
    ) -> None:
        self.robot = check_robot(robot)
        super().__init__(
            task=task,
            robot=robot,
            goal=goal,
            scene=scene,
            image_size=image_size,
            control_dt_s=control_dt_s,
            horizon=horizon,
            segmentation=segmentation,
            render_mode=render_mode,
        )
        self.sim = _make(
            self.task,
            wrap=lambda cls: accelerate(cls, faces=mesh_faces, edit_xml=self.robot.edit_xml),
            robots=robot,
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            control_freq=1.0 / control_dt_s,
            horizon=10**9,
            ignore_done=True,
            hard_reset=False,
            initialization_noise=None,
        )
        self.arm = arm_of(self.sim)
        self._looks = {"shadows": shadows, "samples": samples}

    @property
    def model(self) -> mujoco.MjModel:
        return self.sim.sim.model._model

    @property
    def data(self) -> mujoco.MjData:
        return self.sim.sim.data._data

    def move(self, action: np.ndarray) -> None:
        # a hand without fingers takes no gripper target, which comes last
        self.sim.step(self.to_robosuite(action)[: self.sim.action_dim])

    def to_robosuite(self, action: np.ndarray) -> np.ndarray:
        """Scale a physical action to OSC_POSE's -1..1 and robosuite's gripper sign (-1 open, +1
        close).
        """
        clipped = self.clipped(action)
        return np.concatenate(
            [clipped[:3] / MAX_DELTA_M, clipped[3:6] / MAX_DELTA_RAD, [1.0 - 2.0 * clipped[6]]]
        )

    def _make_renderer(self) -> SceneRenderer:
        size = self.image_size
        return SceneRenderer(self.model, height=size, width=size, **self._looks)


def _make(task: Task, *, wrap: Wrap, **options: Any) -> Any:
    """Return the raw robosuite environment of a task. Imports robosuite, which takes seconds."""
    if isinstance(task, TabletopTask):
        from robot.envs.robosuite_tabletop import RobosuiteTabletop

        return wrap(RobosuiteTabletop)(**options)
    return task.make(wrap=wrap, **options)  # type: ignore[attr-defined]
