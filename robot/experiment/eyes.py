"""The cameras of a simulated arm as a calibration would find them."""

from __future__ import annotations

import numpy as np

from robot.envs.arm_spaces import CAMERAS
from robot.envs.cameras import is_on_hand
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.train.relocation import Eye


def eyes_of(env: EnvOptions, *, task: str) -> tuple[Eye, ...]:
    """Return the cameras of an env's arm, where they stand in scenes that do not move them."""
    made = make_env(task, env)
    try:
        made.reset(seed=0)
        return tuple(_eye(made, camera) for camera in made.cameras)
    finally:
        made.close()


def _eye(env: SimulatedEnv, camera: str) -> Eye:
    K, T_world_camera = env.camera_matrices(camera)
    arm, data = env.arm, env.data
    position, rotation = arm.pose_in_base(data)
    T_world_base = _pose(data.xpos[arm.base], data.xmat[arm.base].reshape(3, 3))
    T_base_camera = np.linalg.inv(T_world_base) @ T_world_camera
    on_hand = is_on_hand(env.model, CAMERAS[camera], arm=arm)
    pose = np.linalg.inv(_pose(position, rotation)) @ T_base_camera if on_hand else T_base_camera
    size = np.array([env.image_size, env.image_size, 1.0])
    # rounded, so that what is cached under them is found again
    return Eye(K=(K / size[:, None]).round(6), pose=pose.round(6), on_hand=on_hand)


def _pose(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose
