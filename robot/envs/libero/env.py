"""LIBERO's tasks behind the env API: our frames and labels of LIBERO's scenes."""

from __future__ import annotations

import mujoco
import numpy as np

from robot.envs.arm import Arm
from robot.envs.arm_spaces import CONTROL_DT_S, DEFAULT_ROBOT
from robot.envs.libero.files import require_packages
from robot.envs.libero.names import OFFICIAL, is_libero
from robot.envs.libero.task import LiberoTask
from robot.envs.libero.world import LiberoWorld
from robot.envs.render import SceneRenderer
from robot.envs.simulated import SimulatedEnv
from robot.types import InputError


class LiberoEnv(SimulatedEnv):
    """A task or a suite of LIBERO with its Panda, in a scene of robot.envs.libero.names.SCENES."""

    sim: LiberoWorld
    success_steps = 1  # LIBERO counts the first step at which its check holds

    def __init__(
        self,
        *,
        task: str,
        goal: str | None = None,
        scene: str = OFFICIAL,
        image_size: int = 128,
        control_dt_s: float = CONTROL_DT_S,
        horizon: int | None = None,
        segmentation: bool = False,
        shadows: bool = False,
        samples: int = 0,
        mesh_faces: int = 400,
        render_mode: str | None = "rgb_array",
    ) -> None:
        require_packages()
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
        self.sim = LiberoWorld(control_dt_s=control_dt_s, mesh_faces=mesh_faces)
        self._looks = {"shadows": shadows, "samples": samples}

    @property
    def model(self) -> mujoco.MjModel:
        return self.sim.mj_model

    @property
    def data(self) -> mujoco.MjData:
        return self.sim.mj_data

    @property
    def arm(self) -> Arm:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.sim.arm

    def move(self, action: np.ndarray) -> None:
        self.sim.step(self.clipped(action))

    def switch_task(self, name: str) -> None:
        """Go on with another task of LIBERO, from the next reset on."""
        if not is_libero(name):
            raise InputError(
                f"got task {name!r} in an env of LIBERO, expected one of its tasks; make a new env"
            )
        self.task = LiberoTask(name=name)
        self.horizon = self._horizon or self.task.horizon

    @property
    def _renderer(self) -> SceneRenderer:
        """Return the renderer of the scene that is shown now."""
        made = self._made_renderer
        if made is not None and made.model is not self.model:
            made.close()
            self._made_renderer = None
        return super()._renderer

    def _make_renderer(self) -> SceneRenderer:
        size = self.image_size
        return SceneRenderer(self.model, height=size, width=size, **self._looks)
