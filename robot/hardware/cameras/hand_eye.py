"""Where a camera is on or beside an arm, from views of a board at known poses of the arm.

Eye in hand: the camera is on the end effector, the board lies still; T_ee_camera is found. Eye to
hand: the camera stands still, the end effector holds the board; T_base_camera is found. In both,
    T_world_board = T_world_hand . X . T_camera_board      (the same for every view)
with X the unknown, hand and world being (ee, base) in the first case and (base, ee) in the second.
OpenCV's closed form (Park and Martin 1994) starts, least squares over all views finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float64

from robot.errors import InputError
from robot.hardware.cameras.board import BoardOptions, View
from robot.hardware.cameras.intrinsics import board_pose
from robot.hardware.cameras.poses import Pose, distance, inverse, mean_pose, pose_of

Mount = Literal["eye_in_hand", "eye_to_hand"]

LEAST_VIEWS = 5
LEAST_TURN_DEG = 10.0  # of the hand between two views that say something about rotation
LEAST_AXES_DEG = 15.0  # between the axes of such turns: parallel axes leave a translation open
USUAL_M, USUAL_RAD = 0.001, 0.002  # how much the pose of a board over an arm is usually off by


@dataclass(frozen=True)
class HandEye:
    """What was found, and how well all views agree on it."""

    T_hand_camera: Pose  # T_ee_camera of an eye in hand, T_base_camera of an eye to hand
    T_world_board: Pose  # T_base_board of an eye in hand, T_ee_board of an eye to hand
    reprojection_px: float  # of all corners, the board being where the arm puts it
    view_mm: tuple[float, ...]  # of each view: how far it puts the board from where all do
    view_deg: tuple[float, ...]
    other_method_mm: float  # from OpenCV's calibrateRobotWorldHandEye, which solves it otherwise
    other_method_deg: float


def calibrate_hand_eye(
    T_base_ee: Sequence[Pose],
    views: Sequence[View],
    board: BoardOptions,
    *,
    K: Float64[np.ndarray, "3 3"],
    distortion: Float64[np.ndarray, " d"],
    mount: Mount,
) -> HandEye:
    """Return the camera's place. Raises InputError where the views do not determine it."""
    if len(T_base_ee) != len(views):
        raise ValueError(f"got {len(T_base_ee)} poses for {len(views)} views")
    check_motion(T_base_ee)
    in_hand = mount == "eye_in_hand"
    T_world_hand = [pose if in_hand else inverse(pose) for pose in T_base_ee]
    T_camera_board = [board_pose(view, board, K=K, distortion=distortion) for view in views]
    start = closed_form(T_world_hand, T_camera_board)
    T_hand_camera, T_world_board = refined(start, T_world_hand, T_camera_board)
    T_camera_hand = inverse(T_hand_camera)
    implied = [T_camera_hand @ inverse(hand) @ T_world_board for hand in T_world_hand]
    apart = [
        distance(hand @ T_hand_camera @ seen, T_world_board)
        for hand, seen in zip(T_world_hand, T_camera_board, strict=True)
    ]
    other_m, other_deg = distance(other_method(T_world_hand, T_camera_board), T_hand_camera)
    return HandEye(
        T_hand_camera=T_hand_camera,
        T_world_board=T_world_board,
        reprojection_px=reprojection(implied, views, board, K=K, distortion=distortion),
        view_mm=tuple(1000 * metres for metres, _ in apart),
        view_deg=tuple(degrees for _, degrees in apart),
        other_method_mm=1000 * other_m,
        other_method_deg=other_deg,
    )


def check_motion(T_base_ee: Sequence[Pose]) -> None:
    """Raise InputError unless the hand turned about two axes at least."""
    if len(T_base_ee) < LEAST_VIEWS:
        raise InputError(
            f"got {len(T_base_ee)} poses of the arm with the board in view, expected at least "
            f"{LEAST_VIEWS}; take more (10 to 20 are good)"
        )
    turns = [
        cv2.Rodrigues(a[:3, :3].T @ b[:3, :3])[0].ravel()
        for k, a in enumerate(T_base_ee)
        for b in T_base_ee[k + 1 :]
    ]
    axes = [turn / angle for turn in turns if (angle := np.linalg.norm(turn)) > 1e-9]
    large = [
        turn / np.linalg.norm(turn)
        for turn in turns
        if np.degrees(np.linalg.norm(turn)) >= LEAST_TURN_DEG
    ]
    if not axes or not large:
        raise InputError(
            f"got {len(T_base_ee)} poses of the arm that differ by less than {LEAST_TURN_DEG:g} "
            "degrees, expected turns of 20 to 60; turn the hand between the pictures"
        )
    cosines = np.abs(np.stack(large) @ np.stack(large).T)
    if (apart := np.degrees(np.arccos(np.clip(cosines, 0, 1)).max())) < LEAST_AXES_DEG:
        raise InputError(
            f"got {len(T_base_ee)} poses of the arm whose turns are all about one axis (at most "
            f"{apart:.1f} degrees apart), expected two axes at least; turn the hand about another "
            "one, too"
        )


def closed_form(T_world_hand: Sequence[Pose], T_camera_board: Sequence[Pose]) -> Pose:
    """Return X by Park and Martin's method."""
    rotation, position = cv2.calibrateHandEye(
        *_parts(T_world_hand), *_parts(T_camera_board), method=cv2.CALIB_HAND_EYE_PARK
    )
    return _rigid(rotation, position)


def other_method(T_world_hand: Sequence[Pose], T_camera_board: Sequence[Pose]) -> Pose:
    """Return X by solving for the board's place at the same time (Shah 2013)."""
    T_hand_world = [inverse(pose) for pose in T_world_hand]
    _, _, rotation, position = cv2.calibrateRobotWorldHandEye(
        *_parts(T_camera_board), *_parts(T_hand_world), method=cv2.CALIB_ROBOT_WORLD_HAND_EYE_SHAH
    )
    return inverse(_rigid(rotation, position))


def refined(
    start: Pose, T_world_hand: Sequence[Pose], T_camera_board: Sequence[Pose]
) -> tuple[Pose, Pose]:
    """Return X and the board's place that all views agree on best.

    The error of a view is how far it puts the board from there, in units of what an arm and a
    camera are usually off by. A view that is far off counts less (soft L1): one at a wrong pose
    does not spoil the rest.
    """
    from scipy.optimize import least_squares  # half a second
    from scipy.spatial.transform import Rotation

    hands, seen = np.stack(T_world_hand), np.stack(T_camera_board)
    T_world_board = mean_pose(list(hands @ start @ seen))

    def residuals(values: Float64[np.ndarray, "12"]) -> Float64[np.ndarray, " r"]:
        apart = inverse(_pose(values[6:])) @ hands @ _pose(values[:6]) @ seen
        turns = Rotation.from_matrix(apart[:, :3, :3]).as_rotvec()
        return np.concatenate([turns / USUAL_RAD, apart[:, :3, 3] / USUAL_M]).ravel()

    values = np.concatenate([_values(start), _values(T_world_board)])
    found = least_squares(residuals, values, loss="soft_l1", x_scale="jac")
    return _pose(found.x[:6]), _pose(found.x[6:])


def reprojection(
    T_camera_board: Sequence[Pose],
    views: Sequence[View],
    board: BoardOptions,
    *,
    K: Float64[np.ndarray, "3 3"],
    distortion: Float64[np.ndarray, " d"],
) -> float:
    """Return how far the corners are seen from where these poses put them: the root of the mean
    squared distance in pixels.
    """
    squares = [
        np.sum((_projected(pose, view, board, K, distortion) - view.corners_px) ** 2, axis=1)
        for pose, view in zip(T_camera_board, views, strict=True)
    ]
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def _projected(
    T_camera_board: Pose,
    view: View,
    board: BoardOptions,
    K: Float64[np.ndarray, "3 3"],
    distortion: Float64[np.ndarray, " d"],
) -> Float64[np.ndarray, "c 2"]:
    rotation = cv2.Rodrigues(T_camera_board[:3, :3])[0]
    points = board.corners_m[view.ids].astype(np.float64)
    pixels, _ = cv2.projectPoints(points, rotation, T_camera_board[:3, 3], K, distortion)
    return np.asarray(pixels, np.float64).reshape(-1, 2)


def _rigid(rotation: np.ndarray, position: np.ndarray) -> Pose:
    """Return the pose that is nearest to what a closed form gave: poses of an arm that do not fit
    the pictures make it a reflection.
    """
    if not (np.isfinite(rotation).all() and np.isfinite(position).all()):
        raise InputError(
            "got poses of the arm that no place of the camera fits; check that mount is right and "
            "that poses are T_base_ee in metres"
        )
    left, _, right = np.linalg.svd(rotation)
    left[:, 2] *= np.linalg.det(left @ right)
    return pose_of(left @ right, position)


def _parts(poses: Sequence[Pose]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [pose[:3, :3] for pose in poses], [pose[:3, 3] for pose in poses]


def _values(pose: Pose) -> Float64[np.ndarray, "6"]:
    return np.concatenate([cv2.Rodrigues(pose[:3, :3])[0].ravel(), pose[:3, 3]])


def _pose(values: Float64[np.ndarray, "6"]) -> Pose:
    return pose_of(values[:3], values[3:])
