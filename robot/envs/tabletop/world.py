"""The tabletop as a running MuJoCo model: all bodies compiled once, a Scene applied to them.

A backend writes the model (arm, table, room and the mesh objects of the catalogue), adds the
family's own bodies with `add_family`, and moves the arm.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from abc import abstractmethod
from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float

from robot.envs.arm import Arm
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.appearance import Appearance, apply_style, pool_materials, texture_assets
from robot.envs.tabletop.bodies import COLLISION, body, mesh_assets
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.scene import Scene, Style

TABLE_TOP_M = 0.8
TABLE_SIZE_M = (0.8, 0.8, 0.05)
CAMERA = {"pos": (0.52, 0.0, 1.38), "look_at": (-0.02, 0.0, 0.80), "fovy_deg": 38.0}
PARKED_M = (2.0, 0.3)  # x and z where unused bodies float: behind the camera, 0.3 m apart


def add_family(root: ET.Element, *, texture_file: Callable[[str], str]) -> None:
    """Add the family's own bodies, the textures and the camera to a model with arm, table, room and
    mesh objects; park all bodies.
    """
    assets, world = root.find("asset"), root.find("worldbody")
    assert assets is not None and world is not None
    assets.extend([*mesh_assets(), *texture_assets(texture_file)])
    meshes = cat.catalogue()["meshes"]
    world.extend(
        [
            body(name=name, shape=shape)
            for name, shape in cat.body_names().items()
            if shape not in meshes
        ]
    )
    _park_initially(world)
    camera = next(c for c in world.iter("camera") if c.get("name") == "agentview")
    for stale in ("quat", "euler", "xyaxes"):
        camera.attrib.pop(stale, None)
    camera.set("pos", " ".join(map(str, CAMERA["pos"])))
    axes = _look_at(np.array(CAMERA["pos"]), np.array(CAMERA["look_at"]))
    camera.set("xyaxes", " ".join(f"{v:.6f}" for v in axes))
    camera.set("fovy", str(CAMERA["fovy_deg"]))


class TabletopWorld:
    """An arm at a table with every body of the catalogue; `apply` shows one Scene."""

    mj_model: mujoco.MjModel
    mj_data: mujoco.MjData
    arm: Arm
    bodies: dict[str, BodyRef]

    def attach(self, model: mujoco.MjModel, data: mujoco.MjData, arm: Arm) -> None:
        """Take the compiled model, as it was compiled, for the world."""
        self.mj_model, self.mj_data, self.arm = model, data, arm
        meshes = cat.catalogue()["meshes"]
        self.bodies = {
            name: _body_root(model, name, mesh=shape in meshes)
            for name, shape in cat.body_names().items()
        }
        self._finger_bodies = np.isin(np.arange(model.nbody), list(arm.finger_bodies))
        self._standard = Appearance.read(model)

    @abstractmethod
    def begin(self, joints_rad: Float[np.ndarray, " j"]) -> None:
        """Forget the episode before; the arm rests in these joints, its gripper as at rest."""

    def apply(self, scene: Scene) -> None:
        """Show `scene`: park unused bodies, place the others, colour, light and camera; the arm is
        not touched.
        """
        model, data = self.mj_model, self.mj_data
        self.restyle(scene.style)
        placed = {p.body: p for p in scene.placements}
        for k, (name, shape) in enumerate(cat.body_names().items()):
            ref = self.bodies[name]
            if name in placed:
                height = TABLE_TOP_M + cat.rest_height_m(shape)
                ref.place(model, data, placement=placed[name], height_m=height)
            else:
                ref.park(model, data, slot=k)
        self._show_patterns(scene)
        self.forward()

    def restyle(self, style: Style) -> None:
        """Change how the scene looks, not what it is; object colours stay, their patterns go."""
        self._standard.write(self.mj_model)
        apply_style(self.mj_model, style)
        self.forward()

    def _show_patterns(self, scene: Scene) -> None:
        """Paint patterned bodies with a texture of the training pool, in their colour."""
        pool = pool_materials("training")
        for placement in scene.placements:
            if placement.pattern is not None:
                material = self.mj_model.material(pool[int(placement.pattern * len(pool))])
                self.mj_model.geom_matid[self.bodies[placement.body].tinted] = material.id

    def forward(self) -> None:
        """Bring all that follows from positions and velocities up to date."""
        mujoco.mj_forward(self.mj_model, self.mj_data)

    def position(self, name: str) -> np.ndarray:
        """Return the position (3,) [m] of a body's origin in the world frame."""
        return self.mj_data.xpos[self.bodies[name].body_id].copy()

    def rotation(self, name: str) -> np.ndarray:
        """Return the rotation matrix (3, 3) of a body in the world frame."""
        return self.mj_data.xmat[self.bodies[name].body_id].reshape(3, 3).copy()

    def root_body(self, name: str) -> str:
        """Return the name of a catalogue body in the compiled model."""
        return self.mj_model.body(self.bodies[name].body_id).name

    def touches_gripper(self, name: str) -> bool:
        """Return whether a body is in contact with a finger."""
        bodies = self.mj_model.geom_bodyid[self.mj_data.contact.geom]  # (contacts, 2)
        mine = self.mj_model.body_rootid[bodies] == self.bodies[name].body_id
        return bool((mine & self._finger_bodies[bodies][:, ::-1]).any())

    def speed(self, name: str) -> float:
        """Return the linear speed of a body [m/s]."""
        address = self.bodies[name].dof_address
        return float(np.linalg.norm(self.mj_data.qvel[address : address + 3]))

    def start_joints(self, scene: Scene) -> Float[np.ndarray, " j"]:
        """Return the joints [rad] in which an episode begins.

        An arm with fewer joints than the scene has noise for takes the first ones.
        """
        rest = self.arm.rest_rad
        return rest + np.array(scene.joint_noise)[: len(rest)]


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return MuJoCo's xyaxes (6,) of a camera at `eye` that looks at `target`, image up close to
    world up.
    """
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.concatenate([right, np.cross(back, right)])


def _parking_spot(slot: int) -> tuple[float, float, float]:
    return PARKED_M[0] + 0.3 * (slot // 8), 0.3 * (slot % 8 - 4), PARKED_M[1]


def _park_initially(world: ET.Element) -> None:
    """Compile every body at its parking spot: thirty bodies in one place make seconds of contacts
    at every reset.
    """
    slots = {
        f"{name}_main" if shape in cat.catalogue()["meshes"] else name: k
        for k, (name, shape) in enumerate(cat.body_names().items())
    }
    for element in world.findall("body"):
        if element.get("name") in slots:
            element.set("pos", " ".join(map(str, _parking_spot(slots[element.attrib["name"]]))))


class BodyRef:
    """Addresses of one free body in the compiled model."""

    def __init__(self, model: mujoco.MjModel, *, body_id: int) -> None:
        self.body_id = body_id
        self.qpos_address = int(model.jnt_qposadr[model.body_jntadr[body_id]])
        self.dof_address = int(model.jnt_dofadr[model.body_jntadr[body_id]])
        self.geoms = np.flatnonzero(model.body_rootid[model.geom_bodyid] == body_id)
        self.tinted = np.array(
            [g for g in self.geoms if "_tint" in (model.geom(g).name or "")], dtype=int
        )
        self.seen = self.geoms[model.geom_group[self.geoms] != int(COLLISION["group"])]
        self.size, self.pos = model.geom_size[self.seen].copy(), model.geom_pos[self.seen].copy()
        self.axes = np.array([_axes(model.geom_quat[g]) for g in self.seen])
        self.contype, self.conaffinity = (
            model.geom_contype[self.geoms].copy(),
            model.geom_conaffinity[self.geoms].copy(),
        )

    def place(
        self, model: mujoco.MjModel, data: mujoco.MjData, *, placement: Placement, height_m: float
    ) -> None:
        """Stand the body on the table in its colour, with contacts and gravity."""
        self._move(data, (placement.x, placement.y, height_m), yaw=placement.yaw)
        model.geom_contype[self.geoms], model.geom_conaffinity[self.geoms] = (
            self.contype,
            self.conaffinity,
        )
        self._stretch(model, np.array(placement.stretch))
        model.body_gravcomp[self.body_id] = 0.0
        if placement.colour is not None:
            model.geom_rgba[self.tinted, :3] = placement.colour

    def park(self, model: mujoco.MjModel, data: mujoco.MjData, *, slot: int) -> None:
        """Float the body where no camera looks, weightless and without contacts."""
        self._move(data, _parking_spot(slot), yaw=0.0)
        model.geom_contype[self.geoms] = model.geom_conaffinity[self.geoms] = 0
        model.body_gravcomp[self.body_id] = 1.0

    def _stretch(self, model: mujoco.MjModel, stretch: np.ndarray) -> None:
        """Scale what is seen of the body along its own axes; what is touched keeps its size, and a
        mesh its vertices.
        """
        along = stretch[self.axes]  # (geoms, 3): along each geom's own axes
        model.geom_size[self.seen] = self.size * _of_sizes(along, types=model.geom_type[self.seen])
        model.geom_pos[self.seen] = self.pos * stretch

    def _move(
        self, data: mujoco.MjData, position: tuple[float, float, float], *, yaw: float
    ) -> None:
        a, v = self.qpos_address, self.dof_address
        data.qpos[a : a + 7] = (*position, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        data.qvel[v : v + 6] = 0.0


def _axes(quat: np.ndarray) -> np.ndarray:
    """Return which axis of its body each axis (3,) of a geom lies along, nearest."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return np.abs(matrix.reshape(3, 3)).argmax(axis=0)


def _of_sizes(along: np.ndarray, *, types: np.ndarray) -> np.ndarray:
    """Return factors (geoms, 3) of MuJoCo's sizes: (radius, half height) of cylinders and capsules,
    else a half length per axis.
    """
    round_ = np.isin(types, (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE))
    return np.where(round_[:, None], along[:, [0, 2, 2]], along)


def _body_root(model: mujoco.MjModel, name: str, *, mesh: bool) -> BodyRef:
    return BodyRef(model, body_id=model.body(f"{name}_main" if mesh else name).id)
