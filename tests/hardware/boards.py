"""Pictures of a ChArUco board, rendered through a known K and pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from robot.hardware.cameras.board import BoardOptions, board_picture
from robot.hardware.cameras.poses import Pose, inverse, pose_of

BOARD = BoardOptions(
    squares_x=7, squares_y=5, square_m=0.04, marker_m=0.03, dictionary="DICT_4X4_50"
)
HEIGHT, WIDTH = 480, 640
K = np.array([[520.0, 0, 325], [0, 515, 236], [0, 0, 1]])
PX_PER_M = 4000.0
OVERSAMPLED = 2  # rendered larger and shrunk: no jagged edges


def rendered(
    T_camera_board: Pose, *, noise: float = 0.0, generator: np.random.Generator | None = None
) -> np.ndarray:
    """Return an RGB picture of the board at a pose, on grey."""
    texture = board_picture(BOARD, px_per_m=PX_PER_M)
    # a board point in metres -> texture pixels, whose centres are whole numbers
    to_texture = np.array([[PX_PER_M, 0, -0.5], [0, PX_PER_M, -0.5], [0, 0, 1]])
    plane = K @ T_camera_board[:3][:, [0, 1, 3]]
    larger = np.array(
        [
            [OVERSAMPLED, 0, (OVERSAMPLED - 1) / 2],
            [0, OVERSAMPLED, (OVERSAMPLED - 1) / 2],
            [0, 0, 1],
        ]
    )
    homography = larger @ plane @ np.linalg.inv(to_texture)
    size = (WIDTH * OVERSAMPLED, HEIGHT * OVERSAMPLED)
    margin = cv2.copyMakeBorder(texture, 160, 160, 160, 160, cv2.BORDER_CONSTANT, value=(255,))
    shift = np.array([[1.0, 0, -160], [0, 1, -160], [0, 0, 1]])
    image = cv2.warpPerspective(
        margin, homography @ shift, size, flags=cv2.INTER_AREA, borderValue=(120,)
    )
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    image = 30 + 0.75 * image.astype(np.float64)
    if noise:
        assert generator is not None
        image += generator.normal(0, noise, image.shape)
    return np.repeat(np.clip(image, 0, 255).round().astype(np.uint8)[..., None], 3, axis=-1)


def looking_at(target: np.ndarray, *, azimuth: float, elevation: float, away_m: float) -> Pose:
    """Return T_world_camera of a camera that looks at a point, for a world with z up."""
    direction = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    forward = -direction
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return pose_of(rotation, target + away_m * direction)


def board_poses(count: int, *, seed: int = 0, tilt: float = 0.5) -> list[Pose]:
    """Return T_camera_board of boards in full view, tilted by up to `tilt` rad about x and y."""
    generator = np.random.default_rng(seed)
    poses = []
    for _ in range(count):
        turn = np.array([*generator.uniform(-tilt, tilt, 2), generator.uniform(-0.4, 0.4)])
        pose = pose_of(turn, np.zeros(3))
        centre = np.array([0.14, 0.10, 0.0])
        place = np.array([*generator.uniform(-0.05, 0.05, 2), generator.uniform(0.35, 0.5)])
        pose[:3, 3] = place - pose[:3, :3] @ centre
        poses.append(pose)
    return poses


def arm_poses(
    T_camera_board: Sequence[Pose], *, mount: str, T_hand_camera: Pose, T_world_board: Pose
) -> list[Pose]:
    """Return the T_base_ee at which the camera sees the board at these poses."""
    hands = [T_world_board @ inverse(T_hand_camera @ seen) for seen in T_camera_board]
    return [hand if mount == "eye_in_hand" else inverse(hand) for hand in hands]
