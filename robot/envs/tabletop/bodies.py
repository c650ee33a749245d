"""MJCF of the family's own objects: pure functions from a shape name to geoms, in metres, origin at
the object's base centre.

Round hollow things (cup, bowl, plate, pan, pot) are one smooth visual mesh, a revolved profile,
over a floor disc and a ring of collision boxes, so that they look round and things fall into them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Numbers = Sequence[float | int]

SEGMENTS = 20  # of a revolved visual mesh
WALLS = 12  # collision boxes around a hollow object

COLLISION = {
    "group": "0",
    "condim": "4",
    "friction": "1 0.05 0.001",
    "solref": "0.005 1",
    "solimp": "0.99 0.995 0.001",
}
ROLLING = COLLISION | {"condim": "6", "friction": "1 0.05 0.005"}
VISUAL = {"group": "1", "contype": "0", "conaffinity": "0", "mass": "0"}


@dataclass(frozen=True)
class Shape:
    """A shape's size [m] for placing and grasping: `radius` of its footprint, `height`,
    `grasp_height` of the finger tips.

    `inner_radius` and `floor` describe where things land in a receptacle; zero where nothing fits.
    """

    radius: float
    height: float
    grasp_height: float
    inner_radius: float = 0.0
    floor: float = 0.0


SHAPES = {
    "cube": Shape(radius=0.031, height=0.044, grasp_height=0.020),
    "ball": Shape(radius=0.025, height=0.050, grasp_height=0.024),
    "cylinder": Shape(radius=0.022, height=0.064, grasp_height=0.036),
    "cup": Shape(radius=0.032, height=0.066, grasp_height=0.042),
    "duck": Shape(radius=0.036, height=0.062, grasp_height=0.020),
    "plate": Shape(radius=0.070, height=0.014, grasp_height=0.0, inner_radius=0.050, floor=0.006),
    "bowl": Shape(radius=0.066, height=0.040, grasp_height=0.0, inner_radius=0.044, floor=0.006),
    "pan": Shape(radius=0.072, height=0.026, grasp_height=0.0, inner_radius=0.058, floor=0.006),
    "pot": Shape(radius=0.068, height=0.056, grasp_height=0.0, inner_radius=0.056, floor=0.006),
    "capsule": Shape(radius=0.036, height=0.036, grasp_height=0.0),
    "egg": Shape(radius=0.034, height=0.044, grasp_height=0.0),
    "slab": Shape(radius=0.046, height=0.024, grasp_height=0.0),
    "tower": Shape(radius=0.030, height=0.090, grasp_height=0.0),
    "cross": Shape(radius=0.042, height=0.028, grasp_height=0.0),
    "mushroom": Shape(radius=0.034, height=0.062, grasp_height=0.0),
}

# Outer radius and height along the wall from the floor's edge to the rim, wall thickness; the
# profile is revolved.
PROFILES: dict[str, tuple[tuple[tuple[float, float], ...], float]] = {
    "cup": (((0.026, 0.0), (0.032, 0.066)), 0.004),
    "plate": (((0.046, 0.0), (0.056, 0.006), (0.070, 0.014)), 0.004),
    "bowl": (((0.034, 0.0), (0.054, 0.018), (0.066, 0.040)), 0.005),
    "pan": (((0.062, 0.0), (0.072, 0.026)), 0.005),
    "pot": (((0.062, 0.0), (0.066, 0.056)), 0.005),
}
FLOOR = 0.006
# Along the body's x axis: where a handle begins, its length, its height [m]; a negative start lies
# behind the body.
HANDLES = {"pan": ((0.070, 0.07, 0.020),), "pot": ((0.066, 0.018, 0.046), (-0.084, 0.018, 0.046))}
HANDLE_HALF_WIDTH = 0.008


def _text(values: Numbers | np.ndarray) -> str:
    return " ".join(f"{v:.5f}" for v in values)


def _geom(
    parent: ET.Element, *, kind: str, size: Numbers, pos: Numbers, **attributes: str
) -> ET.Element:
    return ET.SubElement(
        parent, "geom", {"type": kind, "size": _text(size), "pos": _text(pos), **attributes}
    )


def _solid(
    parent: ET.Element,
    *,
    kind: str,
    size: Numbers,
    pos: Numbers,
    rolling: bool = False,
    **more: str,
) -> None:
    """Add one geom that is seen and touched: a collision copy in group 0 and a visual one in group
    1.
    """
    _geom(
        parent,
        kind=kind,
        size=size,
        pos=pos,
        density="200",
        **(ROLLING if rolling else COLLISION),
        **more,
    )
    _geom(parent, kind=kind, size=size, pos=pos, **VISUAL, **more)


def revolve(profile: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Revolve (radius, height) points around z: vertices (P * SEGMENTS, 3) and triangles (2 * (P -
    1) * SEGMENTS, 3).
    """
    angles = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    rings = [
        np.stack([r * np.cos(angles), r * np.sin(angles), np.full(SEGMENTS, z)], axis=1)
        for r, z in profile
    ]
    faces = []
    for ring in range(len(profile) - 1):
        for i in range(SEGMENTS):
            a, b = ring * SEGMENTS + i, ring * SEGMENTS + (i + 1) % SEGMENTS
            faces += [(a, b, a + SEGMENTS), (b, b + SEGMENTS, a + SEGMENTS)]
    return np.concatenate(rings), np.array(faces)


def hollow_profile(shape: str) -> list[tuple[float, float]]:
    """Return the closed outline of a hollow shape: under the floor, up the outer wall, down the
    inner wall, floor centre.
    """
    wall, thickness = PROFILES[shape]
    inner = [(max(r - thickness, 0.001), max(z, FLOOR)) for r, z in reversed(wall)]
    return [(0.0005, 0.0), *wall, *inner, (0.0005, FLOOR)]


def mesh_assets() -> list[ET.Element]:
    """Return one <mesh> per hollow shape, vertices inline."""
    elements = []
    for shape in PROFILES:
        vertices, faces = revolve(hollow_profile(shape))
        elements.append(
            ET.Element(
                "mesh",
                name=f"{shape}_revolved",
                vertex=_text(vertices.ravel()),
                face=" ".join(map(str, faces.ravel())),
                inertia="shell",
                smoothnormal="false",
            )
        )
    return elements


def _leaning(*, tilt: float, heading: float) -> tuple[float, float, float, float]:
    """Return the quaternion (w, x, y, z) of a turn by `tilt` about y and then by `heading` about z
    [rad].
    """
    (ct, st), (ch, sh) = (
        (np.cos(tilt / 2), np.sin(tilt / 2)),
        (np.cos(heading / 2), np.sin(heading / 2)),
    )
    return ch * ct, -sh * st, ch * st, sh * ct


def _hollow(parent: ET.Element, *, shape: str) -> None:
    """Add the floor disc, the ring of wall boxes and the smooth visual mesh."""
    wall, thickness = PROFILES[shape]
    ET.SubElement(parent, "geom", {"type": "mesh", "mesh": f"{shape}_revolved", **VISUAL})
    _geom(
        parent,
        kind="cylinder",
        size=(wall[0][0], FLOOR / 2),
        pos=(0, 0, FLOOR / 2),
        density="400",
        **COLLISION,
    )
    for (r0, z0), (r1, z1) in zip(wall[:-1], wall[1:], strict=True):
        tilt = np.arctan2(r1 - r0, z1 - z0)
        half_length = np.hypot(r1 - r0, z1 - z0) / 2
        radius, height = (r0 + r1 - thickness) / 2, (z0 + z1) / 2
        half_width = max(r0, r1) * np.tan(np.pi / WALLS)
        for k in range(WALLS):
            angle = 2 * np.pi * k / WALLS
            _geom(
                parent,
                kind="box",
                size=(thickness / 2, half_width, half_length),
                pos=(radius * np.cos(angle), radius * np.sin(angle), height),
                quat=_text(_leaning(tilt=tilt, heading=angle)),
                density="200",
                **COLLISION,
            )


def _handle(parent: ET.Element, *, start: float, length: float, height: float) -> None:
    _solid(
        parent,
        kind="box",
        size=(length / 2, HANDLE_HALF_WIDTH, 0.005),
        pos=(start + length / 2, 0, height),
    )


def _duck(parent: ET.Element) -> None:
    """A rubber duck: body, head, tail in the duck's colour; beak orange and eyes black whatever the
    colour.
    """
    _solid(parent, kind="ellipsoid", size=(0.034, 0.025, 0.021), pos=(0, 0, 0.021))
    # A flat foot: it stands and does not roll.
    _geom(
        parent,
        kind="box",
        size=(0.018, 0.012, 0.002),
        pos=(0, 0, 0.002),
        density="200",
        **COLLISION,
    )
    _solid(parent, kind="sphere", size=(0.016,), pos=(0.018, 0, 0.046))
    _solid(parent, kind="ellipsoid", size=(0.012, 0.008, 0.006), pos=(-0.033, 0, 0.031))
    beak, eye = {"rgba": "1 .45 .05 1", "name_suffix": "beak"}, {"rgba": "0 0 0 1"}
    _geom(
        parent,
        kind="ellipsoid",
        size=(0.009, 0.008, 0.004),
        pos=(0.036, 0, 0.044),
        **beak,
        **VISUAL,
    )
    for side in (-1, 1):
        place = (0.031, side * 0.008, 0.051)
        _geom(
            parent,
            kind="sphere",
            size=(0.003,),
            pos=place,
            **eye,
            name_suffix=f"eye{side}",
            **VISUAL,
        )


def _shape_geoms(parent: ET.Element, *, shape: str) -> None:
    if shape in PROFILES:
        _hollow(parent, shape=shape)
        for start, length, height in HANDLES.get(shape, ()):
            _handle(parent, start=start, length=length, height=height)
    elif shape == "cube":
        _solid(parent, kind="box", size=(0.022, 0.022, 0.022), pos=(0, 0, 0.022))
    elif shape == "ball":
        _solid(parent, kind="sphere", size=(0.025,), pos=(0, 0, 0.025), rolling=True)
    elif shape == "cylinder":
        _solid(parent, kind="cylinder", size=(0.022, 0.032), pos=(0, 0, 0.032))
    elif shape == "duck":
        _duck(parent)
    elif shape == "capsule":
        _solid(
            parent,
            kind="capsule",
            size=(0.018, 0.018),
            pos=(0, 0, 0.018),
            euler="0 1.5708 0",
            rolling=True,
        )
    elif shape == "egg":
        _solid(
            parent, kind="ellipsoid", size=(0.034, 0.024, 0.022), pos=(0, 0, 0.022), rolling=True
        )
    elif shape == "slab":
        _solid(parent, kind="box", size=(0.038, 0.026, 0.012), pos=(0, 0, 0.012))
    elif shape == "tower":
        _solid(parent, kind="box", size=(0.020, 0.020, 0.045), pos=(0, 0, 0.045))
    elif shape == "cross":
        _solid(parent, kind="box", size=(0.042, 0.012, 0.014), pos=(0, 0, 0.014))
        _solid(parent, kind="box", size=(0.012, 0.042, 0.014), pos=(0, 0, 0.014))
    elif shape == "mushroom":
        _solid(parent, kind="cylinder", size=(0.014, 0.022), pos=(0, 0, 0.022))
        _solid(parent, kind="ellipsoid", size=(0.034, 0.034, 0.018), pos=(0, 0, 0.046))
    else:
        raise AssertionError(f"shape {shape!r} has no geometry")


def body(*, name: str, shape: str) -> ET.Element:
    """Return a free <body> called `name`; geoms that take the object's colour are called
    `<name>_tint<k>`.
    """
    element = ET.Element("body", name=name, pos="0 0 0", gravcomp="0")
    ET.SubElement(element, "joint", name=f"{name}_joint0", type="free", damping="0.0005")
    _shape_geoms(element, shape=shape)
    for k, geom in enumerate(element.findall("geom")):
        suffix = geom.attrib.pop("name_suffix", None)
        geom.set("name", f"{name}_{suffix}" if suffix else f"{name}_tint{k}")
    return element
