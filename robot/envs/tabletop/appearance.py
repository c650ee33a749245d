"""How the tabletop looks and is seen: textures, light and camera, as a Style changes them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import mujoco
import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.scene import Style

SURFACES = {
    "table": ("table_visual",),
    "wall": (),
    "floor": ("floor",),
}  # geoms of each surface; walls by name


def texture_assets(file_of: Callable[[str], str]) -> list[ET.Element]:
    """Return textures and materials `pool_<name>` of every surface the conditions can show;
    `file_of` says which file a named texture is.
    """
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
        elements.append(ET.Element("texture", name=f"pool_{name}", type="2d", file=file_of(name)))
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


class Appearance:
    """The model fields that a style changes, as compiled."""

    FIELDS = ("geom_matid", "light_diffuse", "light_pos", "cam_pos", "cam_quat")

    def __init__(self, values: dict[str, np.ndarray], headlight: dict[str, np.ndarray]) -> None:
        self._values, self._headlight = values, headlight

    @staticmethod
    def read(model: mujoco.MjModel) -> Appearance:
        headlight = {
            name: getattr(model.vis.headlight, name).copy() for name in ("ambient", "diffuse")
        }
        return Appearance(
            {name: getattr(model, name).copy() for name in Appearance.FIELDS}, headlight
        )

    def write(self, model: mujoco.MjModel) -> None:
        for name, value in self._values.items():
            getattr(model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(model.vis.headlight, name)[:] = value


def pool_materials(name: str) -> list[str]:
    """Return the materials of a pool of textures."""
    textures = cat.catalogue()["textures"]
    procedural = (
        [f"procedural{k}" for k in range(textures["procedural"])] if name == "training" else []
    )
    return [f"pool_{t}" for t in [*textures[name], *procedural]]


def _surface_geoms(model: mujoco.MjModel, surface: str) -> list[int]:
    if surface == "wall":
        return [g for g in range(model.ngeom) if (model.geom(g).name or "").startswith("wall_")]
    return [model.geom(name).id for name in SURFACES[surface]]


def apply_style(model: mujoco.MjModel, style: Style) -> None:
    if style.pool != "standard":
        pool = pool_materials(style.pool)
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
