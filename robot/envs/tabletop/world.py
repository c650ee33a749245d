"""The tabletop as a robosuite environment: all bodies compiled once, a Scene applied to the running
model.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import mujoco
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
from robosuite.utils.mjcf_utils import xml_path_completion

from robot.envs.robots import finger_bodies, rest_joints
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import body, mesh_assets
from robot.envs.tabletop.scene import Placement, Scene, Style

TABLE_TOP_M = 0.8
TABLE_SIZE_M = (0.8, 0.8, 0.05)
CAMERA = {"pos": (0.52, 0.0, 1.38), "look_at": (-0.02, 0.0, 0.80), "fovy_deg": 38.0}
PARKED_M = (2.0, 0.3)  # x and z where unused bodies float: behind the camera, 0.3 m apart
MESHES = {
    "milk": MilkObject,
    "bread": BreadObject,
    "cereal": CerealObject,
    "can": CanObject,
    "lemon": LemonObject,
    "bottle": BottleObject,
}
SURFACES = {
    "table": ("table_visual",),
    "wall": (),
    "floor": ("floor",),
}  # geoms of each surface; walls by name


class TabletopWorld(ManipulationEnv):
    """An arm at a table with every body of the catalogue; `apply` shows one Scene."""

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
        """Add the family's own bodies, the textures and the camera to the XML that
        robosuite made.
        """
        root = ET.fromstring(super().edit_model_xml(xml_str))
        assets, world = root.find("asset"), root.find("worldbody")
        assert assets is not None and world is not None
        assets.extend([*mesh_assets(), *_texture_assets()])
        world.extend(
            [
                body(name=name, shape=shape)
                for name, shape in cat.body_names().items()
                if shape not in MESHES
            ]
        )
        _park_initially(world)
        camera = next(c for c in world.iter("camera") if c.get("name") == "agentview")
        for stale in ("quat", "euler", "xyaxes"):
            camera.attrib.pop(stale, None)
        camera.set("pos", " ".join(map(str, CAMERA["pos"])))
        camera.set(
            "xyaxes",
            " ".join(
                f"{v:.6f}" for v in _look_at(np.array(CAMERA["pos"]), np.array(CAMERA["look_at"]))
            ),
        )
        camera.set("fovy", str(CAMERA["fovy_deg"]))
        return ET.tostring(root, encoding="unicode")

    def _setup_references(self) -> None:
        if getattr(self, "_referenced", None) is self.sim:
            return  # robosuite asks again at every reset, for seconds, though the model is the same
        super()._setup_references()
        model = self.sim.model._model
        self._referenced = self.sim
        self.bodies = {
            name: _body_root(model, name, mesh=shape in MESHES)
            for name, shape in cat.body_names().items()
        }
        self._finger_bodies = np.isin(np.arange(model.nbody), list(finger_bodies(self)))
        self._standard = _Appearance.read(model)

    def reward(self, action: Any = None) -> float:
        """Return 0: success is judged by the task."""
        return 0.0

    def _check_success(self) -> bool:
        return False

    def apply(self, scene: Scene) -> None:
        """Show `scene`: park unused bodies, place the others, colour, light and camera; the arm is
        not touched.
        """
        model, data = self.sim.model._model, self.sim.data._data
        self.restyle(scene.style)
        placed = {p.body: p for p in scene.placements}
        for k, (name, shape) in enumerate(cat.body_names().items()):
            ref = self.bodies[name]
            if name in placed:
                ref.place(
                    model,
                    data,
                    placement=placed[name],
                    height_m=TABLE_TOP_M + cat.rest_height_m(shape),
                )
            else:
                ref.park(model, data, slot=k)
        self.sim.forward()

    def restyle(self, style: Style) -> None:
        """Change how the scene looks, not what it is; object colours stay."""
        self._standard.write(self.sim.model._model)
        _apply_style(self.sim.model._model, style)
        self.sim.forward()

    def position(self, name: str) -> np.ndarray:
        """Return the position (3,) [m] of a body's origin in the world frame."""
        return self.sim.data._data.xpos[self.bodies[name].body_id].copy()

    def rotation(self, name: str) -> np.ndarray:
        """Return the rotation matrix (3, 3) of a body in the world frame."""
        return self.sim.data._data.xmat[self.bodies[name].body_id].reshape(3, 3).copy()

    def root_body(self, name: str) -> str:
        """Return the name of a catalogue body in the compiled model."""
        return self.sim.model._model.body(self.bodies[name].body_id).name

    def touches_gripper(self, name: str) -> bool:
        """Return whether a body is in contact with a finger."""
        model, data = self.sim.model._model, self.sim.data._data
        bodies = model.geom_bodyid[data.contact.geom]  # (contacts, 2)
        mine = model.body_rootid[bodies] == self.bodies[name].body_id
        return bool((mine & self._finger_bodies[bodies][:, ::-1]).any())

    def speed(self, name: str) -> float:
        """Return the linear speed of a body [m/s]."""
        address = self.bodies[name].dof_address
        return float(np.linalg.norm(self.sim.data._data.qvel[address : address + 3]))


def start_joints(world: TabletopWorld, scene: Scene) -> np.ndarray:
    """Return the joints [rad] in which an episode begins.

    An arm with fewer joints than the scene has noise for takes the first ones.
    """
    rest = rest_joints(world)
    return rest + np.array(scene.joint_noise)[: len(rest)]


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return MuJoCo's xyaxes (6,) of a camera at `eye` that looks at `target`, image up close to
    world up.
    """
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.concatenate([right, np.cross(back, right)])


# --- bodies


def _parking_spot(slot: int) -> tuple[float, float, float]:
    return PARKED_M[0] + 0.3 * (slot // 8), 0.3 * (slot % 8 - 4), PARKED_M[1]


def _park_initially(world: ET.Element) -> None:
    """Compile every body at its parking spot: thirty bodies in one place make seconds of contacts
    at every reset.
    """
    slots = {
        f"{name}_main" if shape in MESHES else name: k
        for k, (name, shape) in enumerate(cat.body_names().items())
    }
    for element in world.findall("body"):
        if element.get("name") in slots:
            element.set("pos", " ".join(map(str, _parking_spot(slots[element.attrib["name"]]))))


class _BodyRef:
    """Addresses of one free body in the compiled model."""

    def __init__(self, model: mujoco.MjModel, *, body_id: int) -> None:
        self.body_id = body_id
        self.qpos_address = int(model.jnt_qposadr[model.body_jntadr[body_id]])
        self.dof_address = int(model.jnt_dofadr[model.body_jntadr[body_id]])
        self.geoms = np.flatnonzero(model.body_rootid[model.geom_bodyid] == body_id)
        self.tinted = np.array(
            [g for g in self.geoms if "_tint" in (model.geom(g).name or "")], dtype=int
        )
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
        model.body_gravcomp[self.body_id] = 0.0
        if placement.colour is not None:
            model.geom_rgba[self.tinted, :3] = placement.colour

    def park(self, model: mujoco.MjModel, data: mujoco.MjData, *, slot: int) -> None:
        """Float the body where no camera looks, weightless and without contacts."""
        self._move(data, _parking_spot(slot), yaw=0.0)
        model.geom_contype[self.geoms] = model.geom_conaffinity[self.geoms] = 0
        model.body_gravcomp[self.body_id] = 1.0

    def _move(
        self, data: mujoco.MjData, position: tuple[float, float, float], *, yaw: float
    ) -> None:
        a, v = self.qpos_address, self.dof_address
        data.qpos[a : a + 7] = (*position, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        data.qvel[v : v + 6] = 0.0


def _body_root(model: mujoco.MjModel, name: str, *, mesh: bool) -> _BodyRef:
    return _BodyRef(model, body_id=model.body(f"{name}_main" if mesh else name).id)


# --- appearance


def _texture_assets() -> list[ET.Element]:
    """Return textures and materials `pool_<name>` of every surface the conditions can show."""
    textures = cat.catalogue()["textures"]
    names = [
        textures["table"],
        textures["wall"],
        textures["floor"],
        *textures["training"],
        *textures["held_out"],
    ]
    elements = []
    for name in dict.fromkeys(names):
        path = xml_path_completion(f"textures/{name}.png")
        elements.append(ET.Element("texture", name=f"pool_{name}", type="2d", file=path))
    rng = np.random.default_rng(textures["procedural_seed"])

    def text(colour):
        return " ".join(f"{c:.3f}" for c in colour)

    for k in range(textures["procedural"]):
        kind = ("checker", "gradient", "flat")[k % 3]
        colours = {"rgb1": text(rng.random(3)), "rgb2": text(rng.random(3))}
        attributes = {
            "name": f"pool_procedural{k}",
            "type": "2d",
            "builtin": kind,
            **colours,
            "width": "128",
            "height": "128",
        }
        elements.append(ET.Element("texture", attributes))
    materials = [_material(e.attrib["name"], rng=rng) for e in elements]
    return [*elements, *materials]


def _material(texture: str, *, rng: np.random.Generator) -> ET.Element:
    repeat = f"{rng.uniform(1, 5):.2f}" if "procedural" in texture else "3"
    return ET.Element(
        "material",
        name=texture,
        texture=texture,
        texuniform="true",
        texrepeat=f"{repeat} {repeat}",
        specular="0.1",
        shininess="0.1",
    )


class _Appearance:
    """The model fields that a style changes, as compiled."""

    FIELDS = ("geom_matid", "light_diffuse", "light_pos", "cam_pos", "cam_quat")

    def __init__(self, values: dict[str, np.ndarray], headlight: dict[str, np.ndarray]) -> None:
        self._values, self._headlight = values, headlight

    @staticmethod
    def read(model: mujoco.MjModel) -> _Appearance:
        headlight = {
            name: getattr(model.vis.headlight, name).copy() for name in ("ambient", "diffuse")
        }
        return _Appearance(
            {name: getattr(model, name).copy() for name in _Appearance.FIELDS}, headlight
        )

    def write(self, model: mujoco.MjModel) -> None:
        for name, value in self._values.items():
            getattr(model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(model.vis.headlight, name)[:] = value


def _pool(name: str) -> list[str]:
    textures = cat.catalogue()["textures"]
    procedural = (
        [f"procedural{k}" for k in range(textures["procedural"])] if name == "training" else []
    )
    return [f"pool_{t}" for t in [*textures[name], *procedural]]


def _surface_geoms(model: mujoco.MjModel, surface: str) -> list[int]:
    if surface == "wall":
        return [g for g in range(model.ngeom) if (model.geom(g).name or "").startswith("wall_")]
    return [model.geom(name).id for name in SURFACES[surface]]


def _apply_style(model: mujoco.MjModel, style: Style) -> None:
    if style.pool != "standard":
        pool = _pool(style.pool)
        for surface, fraction in zip(SURFACES, style.textures, strict=True):
            model.geom_matid[_surface_geoms(model, surface)] = model.material(
                pool[int(fraction * len(pool))]
            ).id
    model.light_diffuse[:] *= np.array(style.light_rgb)
    model.light_pos[:] += np.array(style.light_shift)
    model.vis.headlight.diffuse[:] *= np.array(style.light_rgb)
    model.vis.headlight.ambient[:] *= np.array(style.light_rgb)
    camera = model.camera("agentview").id
    model.cam_pos[camera] += np.array(style.camera_shift)
    turn, turned = np.zeros(4), np.zeros(4)
    angle = float(np.linalg.norm(style.camera_turn))
    mujoco.mju_axisAngle2Quat(turn, np.array(style.camera_turn) / max(angle, 1e-9), angle)
    mujoco.mju_mulQuat(turned, model.cam_quat[camera], turn)
    model.cam_quat[camera] = turned
