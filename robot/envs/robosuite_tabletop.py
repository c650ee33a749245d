"""The tabletop as a robosuite environment: its arms, its table, its mesh objects."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from robosuite.environments.manipulation.manipulation_env import ManipulationEnv
from robosuite.models.arenas import TableArena
from robosuite.models.objects import (
    BottleObject,
    BreadObject,
    CanObject,
    CerealObject,
    LemonObject,
    MilkObject,
)
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.binding_utils import MjSim

from robot.envs.robots import arm_of, rest_fingers
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.world import TABLE_SIZE_M, TABLE_TOP_M, TabletopWorld, add_family
from robot.envs.textures import texture_file

MESHES = {
    "milk": MilkObject,
    "bread": BreadObject,
    "cereal": CerealObject,
    "can": CanObject,
    "lemon": LemonObject,
    "bottle": BottleObject,
}


class RobosuiteTabletop(TabletopWorld, ManipulationEnv):
    """One of robosuite's arms at its table, with every body of the catalogue."""

    sim: MjSim  # robosuite's own hint says None, which it is before `_initialize_sim` only

    def _load_model(self) -> None:
        super()._load_model()
        arm = self.robots[0].robot_model
        arm.set_base_xpos(arm.base_xpos_offset["table"](TABLE_SIZE_M[0]))
        arena = TableArena(table_full_size=TABLE_SIZE_M, table_offset=np.array((0, 0, TABLE_TOP_M)))
        arena.set_origin([0, 0, 0])
        meshes = [MESHES[name](name=f"{name}_0") for name in cat.catalogue()["meshes"]]
        self.model = ManipulationTask(
            mujoco_arena=arena, mujoco_robots=[arm], mujoco_objects=meshes
        )

    def edit_model_xml(self, xml_str: str) -> str:
        """Add what is the family's own to the XML that robosuite made."""
        root = ET.fromstring(super().edit_model_xml(xml_str))
        add_family(root, texture_file=texture_file)
        return ET.tostring(root, encoding="unicode")

    def _setup_references(self) -> None:
        if getattr(self, "_referenced", None) is self.sim:
            return  # robosuite asks again at every reset, for seconds, though the model is the same
        super()._setup_references()
        self._referenced = self.sim
        self.attach(self.sim.model._model, self.sim.data._data, arm_of(self))

    def begin(self, joints_rad: np.ndarray) -> None:
        self.robots[0].init_qpos = joints_rad
        self.reset()
        rest_fingers(self)

    def reward(self, action: Any = None) -> float:
        """Return 0: success is judged by the task."""
        return 0.0

    def _check_success(self) -> bool:
        return False
