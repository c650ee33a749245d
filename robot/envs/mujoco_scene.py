"""The Panda at its table, as shipped: MJCF, meshes and textures of assets/panda_tabletop.zip.

tools/pack_tabletop.py writes the archive from robosuite's models; nothing here needs robosuite.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import mujoco
import numpy as np

from robot.envs.tabletop.world import add_family

ASSET = Path(__file__).parent / "assets" / "panda_tabletop.zip"
ROOM = "room"  # the body of floor and walls
SCENE, MESHES, TEXTURES = "scene.xml", "meshes/", "textures/"


def load_scene() -> mujoco.MjModel:
    """Return the compiled model: arm, table, room, and every body of the catalogue, parked."""
    root, files = read_asset()
    add_family(root, texture_file=lambda name: f"{name}.png")
    _draw_last(root, (ROOM, "table"))
    return mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"), files)


def _draw_last(root: ET.Element, bodies: Sequence[str]) -> None:
    """Move bodies to the end of the model: what fills the picture is then drawn, and shaded, only
    where nothing stands before it.
    """
    world = root.find("worldbody")
    assert world is not None
    for name in reversed(bodies):
        [body] = [body for body in world.findall("body") if body.get("name") == name]
        world.remove(body)
        world.append(body)


def read_asset() -> tuple[ET.Element, dict[str, bytes]]:
    """Return the MJCF without the family's own bodies, and the files that it names."""
    with zipfile.ZipFile(ASSET) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    files = {}
    for name, content in packed.items():
        stem = Path(name).stem
        if name.startswith(MESHES):
            files[f"{stem}.obj"] = content
        elif name.startswith(TEXTURES):
            files[f"{stem}.png"] = _png(content)  # MuJoCo reads no JPEG
    root = ET.fromstring(packed[SCENE])
    for compiler in root.iter("compiler"):
        compiler.attrib.pop("meshdir", None)
    return root, files


def _png(jpeg: bytes) -> bytes:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
