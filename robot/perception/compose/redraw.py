"""A masked picture with its roles elsewhere: each is cut out and put where a calibrated camera
would see it.

Pixels are moved and scaled, not drawn anew: what moves is assumed to turn little.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, UInt8

TARGET, DESTINATION, HAND = range(3)  # of a composite's coverages
BEHIND_FIRST = (DESTINATION, TARGET, HAND)
NEAREST_M = 0.05  # of a camera: nothing is drawn closer


def redrawn(
    picture: UInt8[np.ndarray, "6 h w"],
    moves: Mapping[int, tuple[np.ndarray, np.ndarray]],
    *,
    K: Float[np.ndarray, "3 3"],
    T_base_camera: Float[np.ndarray, "4 4"],
    fill: int,
) -> UInt8[np.ndarray, "6 h w"]:
    """Return a composite in which each role was moved: `moves` says where it is and by how much it
    moves as the camera sees it [m]. The hand covers the target, the target its destination.
    """
    rgb, coverage = picture[:3].astype(np.float32), picture[3:].astype(np.float32) / 255
    union = coverage.sum(axis=0).clip(1e-3, 1.0)
    colour = (rgb - fill * (1 - coverage.sum(axis=0).clip(0, 1))) / union
    height, width = union.shape
    scale = np.array([width, height, 1.0])[:, None] * K
    new_colour, new_coverage = np.zeros_like(rgb), np.zeros_like(coverage)
    for role in BEHIND_FIRST:
        if not coverage[role].any():
            continue
        layer = np.dstack([*(colour * coverage[role]), coverage[role]])
        matrix = _affine(scale, T_base_camera, *moves[role])
        if matrix is None:
            continue
        layer = cv2.warpAffine(layer, matrix, (width, height), flags=cv2.INTER_LINEAR)
        behind = 1 - layer[..., 3]
        new_colour, new_coverage = new_colour * behind, new_coverage * behind
        new_colour += layer[..., :3].transpose(2, 0, 1)
        new_coverage[role] += layer[..., 3]
    shown = new_colour + fill * (1 - new_coverage.sum(axis=0).clip(0, 1))
    both = np.concatenate([shown, 255 * new_coverage])
    return np.round(both.clip(0, 255)).astype(np.uint8)


def _affine(
    K: Float[np.ndarray, "3 3"],
    T_base_camera: Float[np.ndarray, "4 4"],
    at: Float[np.ndarray, "3"],
    by: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "2 3"] | None:
    """Return how pixels around a point move when it does; None where the camera cannot see it."""
    rotation, origin = T_base_camera[:3, :3], T_base_camera[:3, 3]
    before, after = rotation.T @ (at - origin), rotation.T @ (at + by - origin)
    if min(before[2], after[2]) < NEAREST_M:
        return None
    (u, v, _), (x, y, _) = K @ before / before[2], K @ after / after[2]
    zoom = before[2] / after[2]
    # pixel (row, column) covers u in [column, column + 1); OpenCV's integers are centres
    return np.array(
        [[zoom, 0, x - 0.5 - zoom * (u - 0.5)], [0, zoom, y - 0.5 - zoom * (v - 0.5)]], np.float32
    )
