"""Poses as 4 x 4 matrices: T_a_b maps points of frame b into frame a."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float64

Pose = Float64[np.ndarray, "4 4"]


def pose_of(rotation: np.ndarray, position: np.ndarray) -> Pose:
    """Return a pose of a rotation (matrix or vector) and a position."""
    pose = np.eye(4)
    turned = np.asarray(rotation, np.float64)
    pose[:3, :3] = turned if turned.shape == (3, 3) else cv2.Rodrigues(turned.reshape(3, 1))[0]
    pose[:3, 3] = np.asarray(position, np.float64).ravel()
    return pose


def inverse(pose: Pose) -> Pose:
    """Return T_b_a of T_a_b."""
    rotation = pose[:3, :3].T
    return pose_of(rotation, -rotation @ pose[:3, 3])


def mean_pose(poses: Sequence[Pose]) -> Pose:
    """Return the mean of poses that lie close together."""
    from scipy.spatial.transform import Rotation  # a third of a second

    rotation = Rotation.from_matrix(np.stack([pose[:3, :3] for pose in poses])).mean()
    return pose_of(rotation.as_matrix(), np.mean([pose[:3, 3] for pose in poses], axis=0))


def distance(a: Pose, b: Pose) -> tuple[float, float]:
    """Return how far two poses are apart, in metres and degrees."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude()
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(np.degrees(turn))
