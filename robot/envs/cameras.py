"""Where a camera of a MuJoCo model stands and what it sees, without drawing anything.

Pixel (row, column) covers u in [column, column + 1), v in [row, row + 1) of the OpenCV image plane.
"""

# mujoco is a C extension without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64

from robot.envs.arm import Arm
from robot.types import InputError, Viewpoint

TABLE = "table_collision"  # the geom, as robosuite's arenas name it


def metric_depth(
    model: mujoco.MjModel, z_buffer: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Turn a reversed z-buffer (1 at the near plane, 0 at the far plane) into metres along the
    optical axis; inf at 0.

    Between the planes 1/depth is linear in the z-buffer: z = (near / depth - near / far) / (1 -
    near / far).
    """
    near, far = model.vis.map.znear * model.stat.extent, model.vis.map.zfar * model.stat.extent
    inverse = (z_buffer.astype(np.float64) * (1 - near / far) + near / far) / near
    return np.where(z_buffer > 0, 1 / inverse, np.inf).astype(np.float32)


def outside_view(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, *, aspect: float
) -> Bool[np.ndarray, " geoms"]:
    """Return which geoms have a bounding sphere wholly outside the camera's view. `aspect` is width
    / height.
    """
    number = camera_id(model, camera)
    centres = (data.geom_xpos - data.cam_xpos[number]) @ data.cam_xmat[number].reshape(
        3, 3
    )  # x right, y up, -z ahead
    tangent = np.tan(0.5 * np.deg2rad(model.cam_fovy[number])) * np.array([aspect, 1.0])
    distance = (np.abs(centres[:, :2]) + centres[:, 2:] * tangent) / np.sqrt(
        1 + tangent**2
    )  # outwards, to the nearest planes
    return (distance.max(axis=1) > model.geom_rbound) & (
        model.geom_rbound > 0
    )  # the bound of a plane is 0: unbounded


def looks_down(model: mujoco.MjModel, data: mujoco.MjData, camera: str, *, aspect: float) -> bool:
    """Return whether the whole picture lies below the horizon: its four corners do."""
    number = camera_id(model, camera)
    tangent = np.tan(0.5 * np.deg2rad(model.cam_fovy[number]))
    x, y, z = data.cam_xmat[number].reshape(3, 3)[2]  # the world's height of the camera's axes
    return bool(abs(x) * aspect * tangent + abs(y) * tangent < z)


def camera_intrinsics(
    model: mujoco.MjModel, camera: str, height: int, width: int
) -> Float64[np.ndarray, "3 3"]:
    """Return K in pixels for an image of this size; the principal point is the image's centre
    (width / 2, height / 2).
    """
    focal = 0.5 * height / np.tan(0.5 * np.deg2rad(model.cam_fovy[camera_id(model, camera)]))
    return np.array([[focal, 0, 0.5 * width], [0, focal, 0.5 * height], [0, 0, 1]])


def camera_pose(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str
) -> Float64[np.ndarray, "4 4"]:
    """Return T_world_camera, OpenCV convention (x right, y down, z forward): p_world =
    T_world_camera @ p_camera.
    """
    number = camera_id(model, camera)
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = data.cam_xmat[number].reshape(3, 3) * np.array(
        [1.0, -1.0, -1.0]
    )  # MuJoCo looks along -z
    T_world_camera[:3, 3] = data.cam_xpos[number]
    return T_world_camera


def viewpoint(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, *, arm: Arm, height: int, width: int
) -> Viewpoint | None:
    """Return how a camera sees for an image of this size, over the table that the arm stands at;
    None where there is no such table.
    """
    table = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, TABLE)
    if table < 0:
        return None
    T_world_table = np.eye(4)
    T_world_table[:3, :3] = data.xmat[arm.base].reshape(3, 3)
    top_m = data.geom_xpos[table, 2] + model.geom_size[table, 2]
    T_world_table[:3, 3] = *data.xpos[arm.base, :2], top_m
    return Viewpoint(
        K=camera_intrinsics(model, camera, height, width),
        T_table_camera=np.linalg.inv(T_world_table) @ camera_pose(model, data, camera),
        on_hand=is_on_hand(model, camera, arm=arm),
    )


def is_on_hand(model: mujoco.MjModel, camera: str, *, arm: Arm) -> bool:
    """Return whether a camera moves with the arm's gripper."""
    body = model.cam_bodyid[camera_id(model, camera)]
    return bool(model.body_weldid[body] == model.body_weldid[model.site_bodyid[arm.site]])


def camera_id(model: mujoco.MjModel, camera: str) -> int:
    """Return the number of a perspective camera; raise InputError for a name that is none."""
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
    if number < 0:
        names = ", ".join(model.camera(i).name for i in range(model.ncam))
        raise InputError(
            f"got camera '{camera}', expected one of: {names}; name a camera of this model."
        )
    if (
        model.cam_projection[number] != mujoco.mjtProjection.mjPROJ_PERSPECTIVE
        or model.cam_sensorsize[number].any()
    ):
        raise InputError(
            f"got camera '{camera}' with orthographic or sensorsize, expected a perspective "
            "camera; give it `fovy`."
        )
    return number
