"""Write robot/envs/assets/panda_tabletop.zip: what env=mujoco needs of robosuite's models.

    python tools/pack_tabletop.py

robosuite writes the tabletop's MJCF (arm, hand, table, room, mesh objects); here its meshes are
simplified, its textures shrunk, and both packed beside the MJCF, in which they go by names.
Collision meshes keep their shape. Run it again after a change of robosuite or of MESH_FACES.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import cv2
import numpy as np

# the package of this checkout, whether or not, and wherever, it is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robot.envs.decimate import mesh_geoms
from robot.envs.gl import require_gl
from robot.envs.mujoco_scene import ASSET, MESHES, SCENE, TEXTURES
from robot.envs.simplify import Surface, read_surface, simplify, to_obj
from robot.envs.tabletop.catalogue import catalogue

MESH_FACES = 160  # of a mesh that is only seen; 400 on robosuite
PEDESTAL_FACES = 500  # one mesh with handles, which the camera sees from near
GENTLE_THEN_HARSH = ((2.0, 1.0),) * 6 + ((3.0, 1.2), (5.0, 1.2), (7.0, 1.5))
TEXTURE_PX, TABLE_PX = 256, 512  # the standard table is one picture, other surfaces repeat theirs
JPEG_QUALITY = 88
DATE = (2026, 1, 1, 0, 0, 0)  # the same input makes the same file


def main() -> None:
    """Pack; print what it weighs."""
    require_gl()  # before robosuite is imported
    root = robosuite_scene()
    files = pack_meshes(root) | pack_textures(root)
    files[SCENE] = ET.tostring(root)
    ASSET.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(ASSET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, DATE), files[name], zipfile.ZIP_DEFLATED)
    print(f"{ASSET}: {ASSET.stat().st_size / 1e6:.2f} MB, {len(files)} files")


def robosuite_scene() -> ET.Element:
    """Return the MJCF that robosuite writes of arm, table, room and mesh objects."""
    from robot.envs import robosuite_tabletop

    written: list[ET.Element] = []

    def keep(root: ET.Element, **_: object) -> None:
        written.append(ET.fromstring(ET.tostring(root)))
        add(root, **_)  # type: ignore[arg-type]

    add, robosuite_tabletop.add_family = robosuite_tabletop.add_family, keep
    try:
        robosuite_tabletop.RobosuiteTabletop(
            robots="Panda", has_renderer=False, has_offscreen_renderer=False, use_camera_obs=False
        )
    finally:
        robosuite_tabletop.add_family = add
    return written[0]


def pack_meshes(root: ET.Element) -> dict[str, bytes]:
    """Return OBJ files by name; the meshes of `root` point to them."""
    visual, physical = mesh_geoms(root)
    textured = {m.get("name") for m in root.iter("material") if m.get("texture")}
    files: dict[str, bytes] = {}
    for asset in root.findall("asset"):
        for mesh in asset.findall("mesh"):
            name, file = mesh.attrib["name"], Path(mesh.attrib["file"])
            surface, geoms = read_surface(file), visual.get(name, [])
            if name in physical:
                _refer(mesh, files, name=name, obj=collision_obj(surface))
                if not geoms:
                    continue
                light = ET.SubElement(asset, "mesh", {**mesh.attrib, "name": f"{name}_seen"})
                for geom in geoms:
                    geom.set("mesh", f"{name}_seen")
            else:
                light = mesh
            seams = any(geom.get("material") in textured for geom in geoms)
            faces = PEDESTAL_FACES if "pedestal" in name else MESH_FACES
            obj = to_obj(_light(surface, faces=faces, keep_seams=seams))
            _refer(light, files, name=light.attrib["name"], obj=obj)
            light.set("inertia", "shell")  # flat or open leftovers have no volume
    return files


def _light(surface: Surface, *, faces: int, keep_seams: bool) -> Surface:
    if len(surface.faces) <= faces:
        return surface
    passes = GENTLE_THEN_HARSH
    return simplify(surface, faces=faces, keep_seams=keep_seams, passes=passes)


def collision_obj(surface: Surface) -> str:
    """Return vertices and faces alone, each vertex once."""
    corners = surface.vertices[surface.faces].reshape(-1, 3)
    _, first, index = np.unique(np.round(corners, 7), axis=0, return_index=True, return_inverse=True)
    lines = [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in corners[first]]
    lines += [f"f {a} {b} {c}" for a, b, c in index.reshape(-1, 3) + 1]
    return "\n".join(lines) + "\n"


def _refer(mesh: ET.Element, files: dict[str, bytes], *, name: str, obj: str) -> None:
    mesh.set("file", f"{name}.obj")
    files[f"{MESHES}{name}.obj"] = obj.encode()


def pack_textures(root: ET.Element) -> dict[str, bytes]:
    """Return JPEG files by name: those of `root`, which then points to them, and the pools of the
    conditions.
    """
    from robot.envs.textures import texture_file

    pools = catalogue()["textures"]
    names = [pools["table"], pools["wall"], pools["floor"], *pools["training"], *pools["held_out"]]
    found = {name: Path(texture_file(name)) for name in names}
    for texture in root.iter("texture"):
        if file := texture.get("file"):
            found[Path(file).stem] = Path(file)
            texture.set("file", f"{Path(file).stem}.png")
    return {
        f"{TEXTURES}{name}.jpg": _shrunk(file, size=TABLE_PX if name == pools["table"] else TEXTURE_PX)
        for name, file in found.items()
    }


def _shrunk(file: Path, *, size: int) -> bytes:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    small = cv2.resize(
        image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


if __name__ == "__main__":
    main()
