"""K and distortion of a camera from views of a board (Zhang 2000, as OpenCV computes it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64

from robot.errors import InputError
from robot.hardware.cameras.board import BoardOptions, View, object_points
from robot.hardware.cameras.poses import Pose, pose_of

LEAST_VIEWS = 5
LEAST_TILT_DEG = 15.0  # between the two views that differ most: less leaves the focal length open
FLAGS = cv2.CALIB_FIX_K3  # a third radial number fits noise, unless the lens is very wide


@dataclass(frozen=True)
class Intrinsics:
    """What was found, and how sure it is."""

    K: Float64[np.ndarray, "3 3"]
    distortion: Float64[np.ndarray, " d"]
    reprojection_px: float  # root mean square over all corners
    view_px: tuple[float, ...]  # the same per view
    K_std_px: Float64[np.ndarray, "4"]  # of fx, fy, cx, cy: one standard deviation


def calibrate_intrinsics(
    views: Sequence[View], board: BoardOptions, *, height: int, width: int
) -> Intrinsics:
    """Return K and distortion. Raises InputError where the views do not determine them."""
    if len(views) < LEAST_VIEWS:
        raise InputError(
            f"got {len(views)} pictures that show the board, expected at least {LEAST_VIEWS}; "
            "take more (10 to 20 are good), with the whole board in focus and evenly lit"
        )
    points = object_points(board, views)
    corners = [view.corners_px for view in views]
    error, K, distortion, rotations, _, deviations, _, of_views = cv2.calibrateCameraExtended(
        points, corners, (width, height), np.eye(3), np.zeros(5), flags=FLAGS
    )
    tilt_deg = widest_tilt_deg(rotations)
    if tilt_deg < LEAST_TILT_DEG:
        raise InputError(
            f"got {len(views)} pictures that all show the board from one side (at most "
            f"{tilt_deg:.1f} degrees apart), expected at least {LEAST_TILT_DEG:g}; tilt the board "
            "or the camera by 20 to 40 degrees to all sides"
        )
    return Intrinsics(
        K=np.asarray(K, np.float64),
        distortion=np.asarray(distortion, np.float64).ravel(),
        reprojection_px=float(error),
        view_px=tuple(float(x) for x in np.asarray(of_views).ravel()),
        K_std_px=np.asarray(deviations, np.float64).ravel()[:4],
    )


def widest_tilt_deg(rotations: Sequence[np.ndarray]) -> float:
    """Return the largest angle between the board's normals, seen from the camera."""
    normals = np.stack([cv2.Rodrigues(rotation)[0][:, 2] for rotation in rotations])
    return float(np.degrees(np.arccos(np.clip(normals @ normals.T, -1.0, 1.0)).max()))


def board_pose(
    view: View,
    board: BoardOptions,
    *,
    K: Float64[np.ndarray, "3 3"],
    distortion: Float64[np.ndarray, " d"],
) -> Pose:
    """Return T_camera_board of one view."""
    points = board.corners_m[view.ids]
    found, rotation, position = cv2.solvePnP(
        points, view.corners_px, K, distortion, flags=cv2.SOLVEPNP_IPPE
    )
    if not found:
        raise InputError(f"got {view.name}, from which no pose of the board follows; remove it")
    rotation, position = cv2.solvePnPRefineLM(
        points, view.corners_px, K, distortion, rotation, position
    )
    return pose_of(rotation, position)
