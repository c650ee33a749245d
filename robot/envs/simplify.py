"""Simplify the surface of one mesh file to a few hundred faces that look the same.

Garland and Heckbert's quadric simplification (fast-simplification); normals and texture coordinates
are carried over from the original surface, corner by corner, so that shading and textures stay.
"""

# mujoco is a C extension without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import fast_simplification
import mujoco
import numpy as np
import trimesh
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

SURFACE_SAMPLES = 20_000
CANDIDATES = 24  # original faces tried per corner of the simplified mesh
PULL = (
    1 / 3
    # corners look that far inside their face, so that flat faces with corners on rounded edges keep
    # flat shading
)
NORMAL_PENALTY = 0.05  # of the mesh's size, for an original face at a right angle
SLIVER_AREA = 1e-12  # relative to the square of the mesh's size
# (aggressiveness, enough): gentle passes first, a harsher one only while there are over `enough`
# times the faces asked for.
PASSES = ((2.0, 1.0),) * 8 + ((3.0, 1.5), (4.0, 10.0))


@dataclass(frozen=True)
class Surface:
    """Triangles with normals and texture coordinates per corner, in the coordinates of the mesh
    file.
    """

    vertices: Float64[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]
    normals: Float64[np.ndarray, "f 3 3"]
    texcoords: Float64[np.ndarray, "f 3 2"] | None = None


def simplified_obj(file: Path, *, faces: int, keep_seams: bool) -> str | None:
    """Return the OBJ text of a mesh file's light version; None when it is light already."""
    original = read_surface(file)
    if len(original.faces) <= faces:
        return None
    return to_obj(simplify(original, faces=faces, keep_seams=keep_seams))


def read_surface(file: Path) -> Surface:
    """Read any mesh format that MuJoCo reads, by compiling it, and undo its move to the mesh's
    inertial frame.
    """
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><asset><mesh name="m" file={quoteattr(str(file))} inertia="shell"/></asset>'
        # no hull: it may be flat
        '<worldbody><geom type="mesh" mesh="m" contype="0" conaffinity="0"/></worldbody></mujoco>'
    )
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.mesh_quat[0])
    rotation = rotation.reshape(3, 3)
    vertices = model.mesh_vert.astype(np.float64) @ rotation.T + model.mesh_pos[0]
    normals = (model.mesh_normal.astype(np.float64) @ rotation.T)[model.mesh_facenormal]
    texcoords = (
        model.mesh_texcoord.astype(np.float64)[model.mesh_facetexcoord]
        if model.mesh_texcoordnum[0]
        else None
    )
    return Surface(
        vertices=vertices,
        faces=model.mesh_face.astype(np.int64),
        normals=normals,
        texcoords=texcoords,
    )


def simplify(
    original: Surface,
    *,
    faces: int,
    keep_seams: bool,
    passes: Sequence[tuple[float, float]] = PASSES,
) -> Surface:
    """Simplify to about `faces` faces, more when fewer would tear thin parts.

    `keep_seams` leaves the borders between texture patches where they are.
    """
    original = _without_slivers(original)
    corners = original.vertices[original.faces].reshape(-1, 3)
    keys = corners
    if keep_seams and original.texcoords is not None:
        keys = np.concatenate([corners, original.texcoords.reshape(-1, 2)], axis=1)
    _, first, index = np.unique(np.round(keys, 7), axis=0, return_index=True, return_inverse=True)
    # Files often repeat a vertex in every face, which leaves no edge to collapse: weld. Errors are
    # absolute: unit size.
    size, triangles = _size(original.vertices), index.reshape(-1, 3).astype(np.int32)
    vertices = corners[first] / size
    for aggressiveness, enough in passes:
        if len(triangles) > enough * faces:
            simpler = fast_simplification.simplify(
                vertices,
                triangles,
                target_count=faces,
                agg=aggressiveness,
                preserve_border=keep_seams,
            )
            vertices, triangles = simpler[0], simpler[1].astype(np.int32)
    light = Surface(
        vertices=vertices * size,
        faces=triangles.astype(np.int64),
        normals=np.zeros((len(triangles), 3, 3)),
    )
    return _carry_over(original, _without_slivers(light))


def _size(vertices: np.ndarray) -> float:
    """Return the diagonal of the bounding box in metres."""
    return float(np.linalg.norm(np.ptp(vertices, axis=0)))


def _without_slivers(surface: Surface) -> Surface:
    """Drop triangles without an area: they have no normal and no barycentric coordinates."""
    keep = (
        trimesh.triangles.area(surface.vertices[surface.faces])
        > SLIVER_AREA * _size(surface.vertices) ** 2
    )
    texcoords = None if surface.texcoords is None else surface.texcoords[keep]
    return Surface(
        vertices=surface.vertices,
        faces=surface.faces[keep],
        normals=surface.normals[keep],
        texcoords=texcoords,
    )


def _carry_over(original: Surface, light: Surface) -> Surface:
    """Give every corner the normal and texture coordinate of the original surface's nearest point
    that faces the same way.
    """
    triangles, old = light.vertices[light.faces], original.vertices[original.faces]
    corners = ((1 - PULL) * triangles + PULL * triangles.mean(axis=1, keepdims=True)).reshape(-1, 3)
    candidates = _nearby_faces(original, corners)  # (C, K)

    points = np.repeat(corners, CANDIDATES, axis=0)
    nearest = trimesh.triangles.closest_point(old[candidates.reshape(-1)], points)
    gaps = np.linalg.norm(nearest - points, axis=1).reshape(candidates.shape)
    facing = np.repeat(_face_normals(triangles), 3, axis=0)
    turned = 1 - np.einsum("cd,ckd->ck", facing, _face_normals(old)[candidates])
    best = (gaps + NORMAL_PENALTY * _size(original.vertices) * turned).argmin(axis=1)

    rows = np.arange(len(corners))
    face = candidates[rows, best]
    weights = trimesh.triangles.points_to_barycentric(
        old[face], nearest.reshape(*candidates.shape, 3)[rows, best]
    )
    weights = np.clip(weights, 0, 1)[..., None]
    normals = (original.normals[face] * weights).sum(axis=1).reshape(-1, 3, 3)
    uv = (
        None
        if original.texcoords is None
        else (original.texcoords[face] * weights).sum(axis=1).reshape(-1, 3, 2)
    )
    return Surface(vertices=light.vertices, faces=light.faces, normals=normals, texcoords=uv)


def _nearby_faces(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Return the faces (P, CANDIDATES) that own the samples of the surface nearest to
    every point.
    """
    triangles, faces = surface.vertices[surface.faces], np.arange(len(surface.faces))
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    drawn = trimesh.sample.sample_surface(mesh, SURFACE_SAMPLES, seed=0)
    tree = cKDTree(np.concatenate([drawn[0], triangles.mean(axis=1), triangles.reshape(-1, 3)]))
    owners = np.concatenate([drawn[1], faces, np.repeat(faces, 3)])
    return owners[tree.query(points, k=CANDIDATES)[1]]


def _face_normals(triangles: np.ndarray) -> np.ndarray:
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)


def to_obj(surface: Surface) -> str:
    """Return Wavefront OBJ text. MuJoCo turns v upside down when it reads an OBJ, hence 1 - v."""
    lines = [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in surface.vertices]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in surface.normals.reshape(-1, 3)]
    if surface.texcoords is not None:
        lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in surface.texcoords.reshape(-1, 2)]
    for i, face in enumerate(surface.faces + 1):
        corners = [
            f"/{c}" if surface.texcoords is not None else "/" for c in range(3 * i + 1, 3 * i + 4)
        ]
        lines.append(
            "f "
            + " ".join(
                f"{v}{vt}/{3 * i + k + 1}"
                for k, (v, vt) in enumerate(zip(face, corners, strict=True))
            )
        )
    return "\n".join(lines) + "\n"
