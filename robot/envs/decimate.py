"""Replace the visual meshes of a MuJoCo model by lighter ones, physics untouched, so that robosuite
scenes render fast.

The simplification (robot.envs.simplify) runs once per mesh; the result is cached on disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from robot.types import InputError

ALGORITHM = b"3"  # part of the cache key: raise it when the output changes
SEAL = "# whole "  # before the digest of all that stands above
SUFFIX = "_decimated"  # of the copy of a mesh that also collides


def accelerate(
    env_class: Any, *, faces: int = 400, edit_xml: Callable[[str], str] | None = None
) -> Any:
    """Return a subclass of a robosuite environment that compiles decimated visual meshes:
    `accelerate(Lift)(robots="Panda")`.

    `edit_xml` changes the model XML first (adds textures, cameras). `env.model` keeps the original;
    `env.sim.model` is light.
    """

    def edit_model_xml(
        self: Any, xml_str: str
    ) -> str:  # robosuite's own hook, called just before every compilation
        xml = super(fast, self).edit_model_xml(xml_str)
        return decimate_meshes(edit_xml(xml) if edit_xml else xml, faces=faces)

    def load_robots(self: Any) -> None:
        with _arms_not_compiled():
            super(fast, self)._load_robots()

    # A name of its own: robosuite registers classes by name, and "Lift" must stay robosuite's.
    fast = type(env_class)(
        f"Fast{env_class.__name__}",
        (env_class,),
        {
            "__module__": __name__,
            "edit_model_xml": edit_model_xml,
            "_load_robots": load_robots,
        },
    )
    return fast


@contextmanager
def _arms_not_compiled() -> Iterator[None]:
    """Keep robosuite from compiling each arm alone, with its original meshes, within: it takes most
    of a second, and nothing looks at the result.
    """
    from robosuite.models.robots import RobotModel

    compile_arm = RobotModel.set_mujoco_model
    RobotModel.set_mujoco_model = lambda self, mujoco_model=None: None
    try:
        yield
    finally:
        RobotModel.set_mujoco_model = compile_arm


def decimate_meshes(xml: str, *, faces: int = 400, cache_dir: Path | None = None) -> str:
    """Return the model XML with visual meshes of more than `faces` faces replaced by cached lighter
    OBJ files.

    Left alone: collision meshes, and meshes whose shape decides the inertia of a body. A mesh that
    is both seen and touched is copied, and only what is seen uses the copy. Raises InputError for a
    mesh path that is not absolute.
    """
    root = ET.fromstring(xml)
    caches = mesh_caches() if cache_dir is None else [cache_dir]
    visual, physical = mesh_geoms(root)
    textured = {
        material.get("name") for material in root.iter("material") if material.get("texture")
    }
    for asset in root.findall("asset"):
        for mesh in asset.findall("mesh"):
            file, name = mesh.get("file"), mesh.get("name") or Path(mesh.get("file", "")).stem
            geoms = visual.get(name, [])
            if not geoms or file is None:
                continue
            if not Path(file).is_file() or not Path(file).is_absolute():
                raise InputError(
                    f"got the mesh path '{file}', expected an existing absolute path; resolve "
                    "paths in the XML first."
                )
            keep_seams = any(geom.get("material") in textured for geom in geoms)
            light = _cached(Path(file), faces=faces, keep_seams=keep_seams, caches=caches)
            if light is None:
                continue
            if name in physical:
                mesh = ET.SubElement(asset, "mesh", {**mesh.attrib, "name": name + SUFFIX})
                for geom in geoms:
                    geom.set("mesh", name + SUFFIX)
            mesh.set("file", str(light))
            mesh.set(
                "inertia", "shell"
            )  # flat or open leftovers have no volume, which the compiler would refuse
    return ET.tostring(root, encoding="unicode")


def mesh_geoms(root: ET.Element) -> tuple[dict[str, list[ET.Element]], set[str]]:
    """Return the geoms that are only seen, by mesh name, and the names of meshes that physics
    needs.
    """
    visual: dict[str, list[ET.Element]] = {}
    physical: set[str] = set()
    for body, geom in _geoms_of(root):
        name = geom.get("mesh")
        if name is None:
            continue
        seen_only = (
            geom.get("type") == "mesh"
            and geom.get("contype") == "0"
            and geom.get("conaffinity") == "0"
        )
        if seen_only and not _adds_inertia(root, body, geom):
            visual.setdefault(name, []).append(geom)
        else:
            physical.add(name)
    return visual, physical


def _geoms_of(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    for world in root.findall("worldbody"):
        for body in world.iter():
            if body.tag in ("worldbody", "body"):
                yield from ((body, geom) for geom in body.findall("geom"))


def _adds_inertia(root: ET.Element, body: ET.Element, geom: ET.Element) -> bool:
    """Whether the compiler takes this geom into account for its body's inertia (MuJoCo XML
    reference, `compiler`).
    """
    settings: dict[str, str] = {}
    for compiler in root.findall("compiler"):
        settings.update(compiler.attrib)
    lowest, highest = (int(value) for value in settings.get("inertiagrouprange", "0 5").split())
    from_geoms = settings.get("inertiafromgeom", "auto")
    needed = from_geoms == "true" or (
        from_geoms == "auto" and body.find("inertial") is None and body.tag == "body"
    )
    return needed and lowest <= int(geom.get("group", "0")) <= highest


def mesh_caches() -> list[Path]:
    """Return the folders for light meshes, the best first: the user's cache, where there is one,
    and one of the temporary folder that is this user's alone.
    """
    found = []
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # its specification has relative and empty ones ignored
        found.append(Path(named))
    else:
        home = Path(os.path.expanduser("~"))  # "~" for a user without an entry and without HOME
        if home.is_absolute() and home != Path("/"):
            found.append(home / ".cache")
    temporary = Path(tempfile.gettempdir()) / f"robot-cache-{os.getuid()}"
    if not temporary.exists() or temporary.stat().st_uid == os.getuid():  # nobody else's
        found.append(temporary)
    return [folder / "robot" / "meshes" for folder in found]


def _cached(file: Path, *, faces: int, keep_seams: bool, caches: Sequence[Path]) -> Path | None:
    """Return the light version of a mesh file, made on first use and kept in the first of the
    folders that can be used; None when the mesh is light already.
    """
    key = hashlib.blake2b(
        file.read_bytes() + b"|%d|%d|" % (faces, keep_seams) + ALGORITHM, digest_size=16
    ).hexdigest()
    name = f"{file.stem}-{key}"
    for cache in caches:
        with suppress(OSError):  # unreadable: the next folder, or made anew
            if is_whole(cache / f"{name}.obj"):
                return cache / f"{name}.obj"
            if (cache / f"{name}.as-is").is_file():
                return None
    from robot.envs.simplify import simplified_obj  # trimesh takes a second to import

    obj = simplified_obj(file, faces=faces, keep_seams=keep_seams)
    reason = ""
    for cache in caches:
        try:
            if obj is None:
                _write_atomically(cache / f"{name}.as-is", "")
                return None
            _write_atomically(cache / f"{name}.obj", sealed(obj))
            return cache / f"{name}.obj"
        except OSError as error:
            reason = error.strerror or str(error)
    raise InputError(
        f"got no folder for light meshes, expected room in one of {', '.join(map(str, caches))} "
        f"({reason.lower()}); free some space, or set XDG_CACHE_HOME to a folder of yours"
    )


def sealed(obj: str) -> str:
    """Return an OBJ file with its digest as its last line, a comment. Inverse: `is_whole`."""
    digest = hashlib.blake2b(obj.encode(), digest_size=16).hexdigest()
    return f"{obj}{SEAL}{digest}\n"


def is_whole(file: Path) -> bool:
    """Return whether a file is one that was sealed, all of it: half of a mesh loads, too."""
    if not file.is_file():
        return False
    obj, seal, digest = file.read_bytes().rpartition(SEAL.encode())
    return bool(seal) and digest == (
        hashlib.blake2b(obj, digest_size=16).hexdigest().encode() + b"\n"
    )


def _write_atomically(path: Path, text: str) -> None:
    """Write under a temporary name and rename: processes that race write the same bytes, and
    readers, other users among them where they share the folder, never see half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
