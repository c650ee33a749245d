"""Where LIBERO's objects can be grasped from above, and what the hand holds."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from robot.envs.libero.world import LiberoWorld

YAWS = np.linspace(0.0, np.pi, 12, endpoint=False)  # of the fingers' opening, rad
HAND_REACH_M = 0.045  # from the top of a tall thing down to the grasp: the palm stays clear
OPENING_M = 0.078  # between open fingers, a little play left
TURN_M = 0.01  # a turn of the wrist by one radian is worth as much as this width


@dataclass(frozen=True)
class Extent:
    """The box of a thing along a horizontal direction, across it and upwards, world frame [m]."""

    centre: Float[np.ndarray, "3"]
    half: Float[np.ndarray, "3"]

    @property
    def top(self) -> float:
        return float(self.centre[2] + self.half[2])

    @property
    def bottom(self) -> float:
        return float(self.centre[2] - self.half[2])


def corners_of(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> Float[np.ndarray, "p 3"]:
    """Return points that span what collides of a body and its children, world frame [m]."""
    points = []
    for geom in range(model.ngeom):
        if model.geom_contype[geom] == 0 and model.geom_conaffinity[geom] == 0:
            continue
        if not _within(model, int(model.geom_bodyid[geom]), body):
            continue
        points.append(
            data.geom_xpos[geom] + _local(model, geom) @ data.geom_xmat[geom].reshape(3, 3).T
        )
    return np.concatenate(points)


def _within(model: mujoco.MjModel, body: int, ancestor: int) -> bool:
    while body > 0 and body != ancestor:
        body = int(model.body_parentid[body])
    return body == ancestor


def _local(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Return the vertices of a mesh, or the corners of a box around another shape."""
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        return model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
    centre, half = model.geom_aabb[geom][:3], model.geom_aabb[geom][3:]
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    return centre + signs * half


def extent(world: LiberoWorld, body: str, *, yaw_rad: float = 0.0) -> Extent:
    """Return the box of a body along `yaw_rad`, across it and upwards."""
    points = corners_of(world.mj_model, world.mj_data, world.mj_model.body(body).id)
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    turned = points @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    return Extent(centre=turn.T @ ((low + high) / 2), half=(high - low) / 2)


def grasp_yaw(world: LiberoWorld, body: str, *, neutral_rad: float) -> float:
    """Return the direction in which the fingers close on the narrowest side of a body, the wrist
    turned as little as that allows.
    """
    turns = (YAWS - neutral_rad + np.pi / 2) % np.pi - np.pi / 2

    def cost(turn: float) -> float:
        width = 2 * float(extent(world, body, yaw_rad=neutral_rad + turn).half[0])
        return max(width, 0.5 * OPENING_M) + TURN_M * abs(turn) + 10.0 * max(0.0, width - OPENING_M)

    return neutral_rad + min(map(float, turns), key=cost)


def held(world: LiberoWorld) -> str | None:
    """Return the body of an object that both fingers touch; None where there is none."""
    model, data = world.mj_model, world.mj_data
    sides: dict[int, set[int]] = {}
    for contact in data.contact[: data.ncon]:
        bodies = [int(model.geom_bodyid[geom]) for geom in (contact.geom1, contact.geom2)]
        for finger, thing in (bodies, bodies[::-1]):
            if finger in world.arm.finger_bodies:
                sides.setdefault(int(model.body_rootid[thing]), set()).add(finger)
    for thing in world.raw.objects_dict.values():
        if len(sides.get(model.body(thing.root_body).id, ())) >= 2:
            return thing.root_body
    return None
