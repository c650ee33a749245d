"""Poses, rotation vectors and differential inverse kinematics over any arm's `forward`.

A twist is six numbers in the base frame: a translation, then a rotation vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64

Joints = Float64[np.ndarray, " j"]
Twist = Float64[np.ndarray, "6"]
Forward = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

DAMPING = 0.02  # keeps joint steps bounded near singular configurations; m and rad alike
DAMPING_SQUARED = DAMPING**2 * np.eye(6)
UNDERACTUATED = 0.05  # weight of the rotation [1/rad] beside a position [1/m]
DIFFERENCE_RAD = 1e-5  # step of the numerical Jacobian: error and rounding both near 1e-10
IDENTITY = np.eye(3)
ROTATION_TOLERANCE = 1e-3  # of R^T R - 1: float32 and a driver's rounding pass, a shear does not


@dataclass(frozen=True)
class Pose:
    """Where the end effector is, in the base frame."""

    position: Float64[np.ndarray, "3"]  # m
    rotation: Float64[np.ndarray, "3 3"]


def rotation_matrix(vector: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Return the rotation about a rotation vector [rad]. Inverse: `rotation_vector`."""
    return cv2.Rodrigues(vector)[0]


def rotation_vector(rotation: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3"]:
    """Return the shortest rotation vector [rad], at most pi long. Inverse: `rotation_matrix`."""
    r = rotation
    axis = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / 2
    sin, cos = math.sqrt(axis @ axis), (r[0, 0] + r[1, 1] + r[2, 2] - 1) / 2
    if cos < -0.9:  # the axis fades towards pi
        return cv2.Rodrigues(rotation)[0][:, 0]
    # Not OpenCV's everywhere: below 1e-5 rad it returns zero, and a Jacobian needs such steps.
    return axis * (math.atan2(sin, cos) / sin if sin > 1e-12 else 1.0)


def is_rotation(matrix: np.ndarray) -> bool:
    """Return whether a 3x3 matrix is a rotation."""
    error = np.abs(matrix.T @ matrix - IDENTITY).max()
    return bool(error < ROTATION_TOLERANCE and cv2.determinant(matrix) > 0)


def orthonormal(matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """Return the rotation nearest to one that is off by rounding, float32's included, so that it
    does not add up over thousands of steps (two Newton-Schulz steps, which square the error).
    """
    for _ in range(2):
        matrix = matrix @ (3.0 * IDENTITY - matrix.T @ matrix) / 2
    return matrix


def move(pose: Pose, twist: Twist) -> Pose:
    """Return a pose displaced in the base frame. Inverse: `difference`."""
    rotation = rotation_matrix(twist[3:]) @ pose.rotation
    return Pose(position=pose.position + twist[:3], rotation=rotation)


def difference(goal: Pose, start: Pose) -> Twist:
    """Return the twist that takes `start` to `goal`. Inverse: `move`."""
    rotation = rotation_vector(goal.rotation @ start.rotation.T)
    return np.concatenate([goal.position - start.position, rotation])


def pose_at(forward: Forward, joints: Joints) -> Pose:
    """Return the end effector's pose at joint positions."""
    position, rotation = forward(joints)
    return Pose(
        position=np.asarray(position, np.float64), rotation=np.asarray(rotation, np.float64)
    )


def jacobian(forward: Forward, joints: Joints, *, at: Pose) -> Float64[np.ndarray, "6 j"]:
    """Return the numerical Jacobian of `forward` at joints whose pose is `at`."""
    columns = np.empty((6, len(joints)))
    for k in range(len(joints)):
        moved = joints.copy()
        moved[k] += DIFFERENCE_RAD
        columns[:, k] = difference(pose_at(forward, moved), at) / DIFFERENCE_RAD
    return columns


def damped_inverse(columns: Float64[np.ndarray, "6 j"]) -> Float64[np.ndarray, "j 6"]:
    """Return the damped least-squares inverse of a Jacobian (Wampler 1986)."""
    square = columns @ columns.T + DAMPING_SQUARED
    # Not NumPy's solve: its BLAS wakes threads for a 6x6, which takes milliseconds beside a policy.
    return cv2.solve(square, columns, flags=cv2.DECOMP_CHOLESKY)[1].T


def task_weights(joints: int) -> Twist:
    """Return how much each part of a twist counts: an arm with fewer than six joints cannot turn
    everywhere as asked, and shall not leave its place for it.
    """
    return np.ones(6) if joints >= 6 else np.repeat([1.0, UNDERACTUATED], 3)


def weighted_inverse(columns: Float64[np.ndarray, "6 j"]) -> Float64[np.ndarray, "j 6"]:
    """Return the damped inverse of a Jacobian with `task_weights`."""
    weights = task_weights(columns.shape[1])
    return damped_inverse(columns * weights[:, None]) * weights


def solve(
    forward: Forward,
    goal: Pose,
    *,
    start: Joints,
    low: Joints,
    high: Joints,
    steps: int = 20,
    tolerance: float = 1e-4,
) -> tuple[Joints, Twist]:
    """Return joints within bounds near `start` that take the pose, and the twist still missing.

    Damped Gauss-Newton steps, clipped to the bounds. An arm with fewer than six joints, or a pose
    out of reach, leaves a residual: the caller says how much is too much.
    """
    joints = np.clip(start, low, high)
    pose = pose_at(forward, joints)
    for _ in range(steps):
        missing = difference(goal, pose)
        if np.abs(missing).max() < tolerance:
            break
        inverse = weighted_inverse(jacobian(forward, joints, at=pose))
        joints = np.clip(joints + inverse @ missing, low, high)
        pose = pose_at(forward, joints)
    return joints, difference(goal, pose)
