"""The tabletop's Panda behind the env API, on plain MuJoCo: no robosuite, several times as fast."""

from __future__ import annotations

import mujoco
import numpy as np

from robot.envs.arm_spaces import CONTROL_DT_S, DEFAULT_ROBOT
from robot.envs.mujoco_tabletop import MujocoTabletop
from robot.envs.render import SceneRenderer
from robot.envs.simulated import SimulatedEnv


class MujocoEnv(SimulatedEnv):
    """A tabletop task with the Panda; spaces, scenes and success are those of RobosuiteEnv."""

    sim: MujocoTabletop

    def __init__(
        self,
        *,
        task: str,
        goal: str | None = None,
        scene: str = "clean",
        image_size: int = 128,
        control_dt_s: float = CONTROL_DT_S,
        horizon: int | None = None,
        segmentation: bool = False,
        shadows: bool = False,
        samples: int = 0,
        render_mode: str | None = "rgb_array",
    ) -> None:
        super().__init__(
            task=task,
            robot=DEFAULT_ROBOT,
            goal=goal,
            scene=scene,
            image_size=image_size,
            control_dt_s=control_dt_s,
            horizon=horizon,
            segmentation=segmentation,
            render_mode=render_mode,
        )
        self.sim = MujocoTabletop(control_dt_s=control_dt_s)
        self.arm = self.sim.arm
        self._looks = {"shadows": shadows, "samples": samples}

    @property
    def model(self) -> mujoco.MjModel:
        return self.sim.mj_model

    @property
    def data(self) -> mujoco.MjData:
        return self.sim.mj_data

    def move(self, action: np.ndarray) -> None:
        self.sim.step(self.clipped(action))

    def _make_renderer(self) -> SceneRenderer:
        size = self.image_size
        return SceneRenderer(self.model, height=size, width=size, closed_below=True, **self._looks)
