"""Bring an arm's hand to a pose without simulating how it gets there."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from robot.envs.arm import Arm

IK_STEPS, IK_STEP_RAD, IK_DAMPING = 25, 0.3, 1e-3


def reach(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    arm: Arm,
    *,
    position: Float[np.ndarray, "3"],
    rotation: Float[np.ndarray, "3 3"],
) -> None:
    """Bring the finger tips to a pose in the world by damped least squares (Buss 2004), from where
    the arm rests.
    """
    data.qpos[arm.joints] = arm.rest_rad
    jacobian = np.zeros((6, model.nv))
    for _ in range(IK_STEPS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error = np.concatenate(
            [
                position - arm.grasp_point(data),
                _turn(rotation @ data.site_xmat[arm.site].reshape(3, 3).T),
            ]
        )
        if np.abs(error).max() < 2e-3:
            break
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], arm.site)
        j = jacobian[:, arm.dofs]
        step = j.T @ np.linalg.solve(j @ j.T + IK_DAMPING * np.eye(6), error)
        data.qpos[arm.joints] += step * min(1.0, IK_STEP_RAD / np.abs(step).max())


def _turn(rotation: np.ndarray) -> np.ndarray:
    """Return the rotation vector [rad] of a rotation matrix, exact for small turns."""
    quaternion, vector = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector


def pointing_down(
    down: Float[np.ndarray, "3 3"], *, tilt_rad: float, turn_rad: float, rng: np.random.Generator
) -> Float[np.ndarray, "3 3"]:
    """Return a hand like `down`, which points down, tilted and turned a little at random."""
    turn = np.array([*rng.normal(0.0, tilt_rad, 2), rng.normal(0.0, turn_rad)])
    quaternion, matrix = np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(quaternion, turn / np.linalg.norm(turn), float(np.linalg.norm(turn)))
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3) @ down


def refresh(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Bring what a renderer reads up to date: no contacts, no forces."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
