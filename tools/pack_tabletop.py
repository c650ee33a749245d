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
from itertools import product
from pathlib import Path

import cv2
import mujoco
import numpy as np
import trimesh

# the package of this checkout, whether or not, and wherever, it is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robot.envs.decimate import mesh_geoms
from robot.envs.gl import require_gl
from robot.envs.mujoco_scene import ASSET, MESHES, ROOM, SCENE, TEXTURES
from robot.envs.simplify import Surface, read_surface, simplify, to_obj
from robot.envs.tabletop.catalogue import catalogue

MESH_FACES = 400  # of a mesh that is only seen, as on robosuite, so that pictures are the same
FAR, FAR_FACES = ("robot0_link", "fixed_mount0"), 150  # seen by the agent's camera alone
PASSES = ((2.0, 1.0),) * 8 + ((3.0, 1.5), (4.0, 2.5), (5.0, 4.0))
# where cameras can be [m]: the agent's with its shifts, and above the table that of the wrist
EYES = (
    *product((0.48, 0.52, 0.56), (-0.04, 0.0, 0.04), (1.34, 1.38, 1.42)),
    *product((-0.3, -0.1, 0.1), (-0.3, 0.0, 0.3), (0.9, 1.1, 1.4)),
)
TEXTURE_PX, TABLE_PX = 256, 512  # the standard table is one picture, other surfaces repeat theirs
FIXED_M = {"fixed_mount0_pedestal": (-0.56, 0.0, 0.922), "robot0_link0_vis": (-0.56, 0.0, 0.912)}
FLOOR_SQUARE_M = "1.0"
JPEG_QUALITY = 88
DATE = (2026, 1, 1, 0, 0, 0)  # the same input makes the same file


def main() -> None:
    """Pack; print what it weighs."""
    require_gl()  # before robosuite is imported
    root = robosuite_scene()
    leave_out_unseen(root)
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


def leave_out_unseen(root: ET.Element) -> None:
    """Drop what neither camera sees, and make floor and walls a body of their own."""
    world = root.find("worldbody")
    assert world is not None
    room = ET.SubElement(world, "body", name=ROOM)
    for geom in world.findall("geom"):
        world.remove(geom)
        room.append(geom)
        if geom.get("type") == "plane":  # drawn as squares of that size, by default thousands
            geom.set("size", " ".join([*geom.attrib["size"].split()[:2], FLOOR_SQUARE_M]))
    for body in [body for body in world.findall("body") if body.get("mocap")]:
        world.remove(body)  # marks of robosuite's teleoperation, under the floor
    contact = ET.SubElement(root, "contact")
    # neighbours, which MuJoCo does not see as such, as the first does not move
    ET.SubElement(contact, "exclude", body1="robot0_link0", body2="robot0_link1")
    [table] = [body for body in world.findall("body") if body.get("name") == "table"]
    for leg in [geom for geom in table.findall("geom") if "leg" in geom.get("name", "")]:
        table.remove(leg)


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
                # MuJoCo collides the hull; an arm's inertia is given, an object's follows its mesh
                hull = name.startswith(("robot0", "gripper0"))
                _refer(mesh, files, name=name, obj=collision_obj(surface, hull=hull))
                if not geoms:
                    continue
                light = ET.SubElement(asset, "mesh", {**mesh.attrib, "name": f"{name}_seen"})
                for geom in geoms:
                    geom.set("mesh", f"{name}_seen")
            else:
                light = mesh
            seams = any(geom.get("material") in textured for geom in geoms)
            faces = FAR_FACES if name.startswith(FAR) else MESH_FACES
            seen = _light(surface, faces=faces, keep_seams=seams)
            for fixed, at in FIXED_M.items():
                if name.startswith(fixed):
                    seen = visible_part(seen, at=np.array(at))
            _refer(light, files, name=light.attrib["name"], obj=without_repeats(to_obj(seen)))
            light.set("inertia", "shell")  # flat or open leftovers have no volume
    return files


def _light(surface: Surface, *, faces: int, keep_seams: bool) -> Surface:
    if len(surface.faces) <= faces:
        return surface
    return simplify(surface, faces=faces, keep_seams=keep_seams, passes=PASSES)


def visible_part(surface: Surface, *, at: np.ndarray) -> Surface:
    """Return the faces that can be seen from EYES of a surface that stands `at` [m] unturned: rays
    to their corners and middles.
    """
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><asset><mesh name="m" file="m.obj" inertia="shell"/></asset><worldbody>'
        '<geom type="mesh" mesh="m"/></worldbody></mujoco>',
        {"m.obj": to_obj(surface).encode()},
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    triangles = surface.vertices[surface.faces]
    middles = triangles.mean(axis=1, keepdims=True)
    targets = np.concatenate([0.9 * triangles + 0.1 * middles, middles], axis=1)  # (F, 4, 3)
    seen = np.zeros(targets.shape[:2], bool)
    for eye in np.array(EYES) - at:
        rays = (targets - eye).reshape(-1)
        hit, where = np.zeros(rays.size // 3, np.int32), np.zeros(rays.size // 3)
        mujoco.mj_multiRay(
            model, data, eye, rays, None, True, -1, hit, where, None, len(where), mujoco.mjMAXVAL
        )
        seen |= (where > 0.999).reshape(seen.shape)  # in lengths of the ray
    seen = seen.any(axis=1)
    texcoords = None if surface.texcoords is None else surface.texcoords[seen]
    used, faces = np.unique(surface.faces[seen], return_inverse=True)
    return Surface(surface.vertices[used], faces.reshape(-1, 3), surface.normals[seen], texcoords)


def without_repeats(obj: str) -> str:
    """Return an OBJ file in which every normal and texture coordinate stands once."""
    lines = [
        " ".join(["vn", *(f"{float(n):.3f}" for n in line.split()[1:])])
        if line.startswith("vn ")
        else line
        for line in obj.splitlines()
    ]
    for kind, place in (("vt", 1), ("vn", 2)):
        written: dict[str, int] = {}
        numbers = [
            written.setdefault(line, len(written) + 1)
            for line in lines
            if line.startswith(f"{kind} ")
        ]
        if not numbers:
            continue
        kept = [line for line in lines if not line.startswith((f"{kind} ", "f "))]
        faces = [_renumbered(line, place, numbers) for line in lines if line.startswith("f ")]
        lines = [*kept, *written, *faces]
    return "\n".join(lines) + "\n"


def _renumbered(face: str, place: int, numbers: list[int]) -> str:
    """Return an OBJ face whose references at `place` of every corner are renumbered."""
    corners = [corner.split("/") for corner in face.split()[1:]]
    for corner in corners:
        corner[place] = str(numbers[int(corner[place]) - 1])
    return "f " + " ".join("/".join(corner) for corner in corners)


def collision_obj(surface: Surface, *, hull: bool) -> str:
    """Return vertices and faces alone, of the surface or its hull, each vertex once."""
    if hull:
        convex = trimesh.convex.convex_hull(surface.vertices)
        corners = np.array(convex.triangles).reshape(-1, 3)
    else:
        corners = surface.vertices[surface.faces].reshape(-1, 3)
    _, first, index = np.unique(
        np.round(corners, 7), axis=0, return_index=True, return_inverse=True
    )
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
            texture.set("type", "2d")  # robosuite's cubes show the same picture on every side
            found[Path(file).stem] = Path(file)
            texture.set("file", f"{Path(file).stem}.png")
    return {
        f"{TEXTURES}{name}.jpg": _shrunk(
            file, size=TABLE_PX if name == pools["table"] else TEXTURE_PX
        )
        for name, file in found.items()
    }


def _shrunk(file: Path, *, size: int) -> bytes:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if b"sRGB" in file.read_bytes()[:1000]:  # as MuJoCo would, and a JPEG cannot say so
        image = np.round(255 * linear(image / 255)).astype(np.uint8)
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    small = cv2.resize(
        image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def linear(srgb: np.ndarray) -> np.ndarray:
    """Return linear intensities 0..1 of sRGB values 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


if __name__ == "__main__":
    main()
