"""Where a calibrated camera stands, for the frames that it returns: those are rotated, flipped,
cropped and resized, its calibration is of captured pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from robot.hardware.cameras.calibration import Calibration
from robot.hardware.cameras.picture import Edit
from robot.hardware.cameras.poses import Pose
from robot.types import Viewpoint

# pixel centres are whole numbers in OpenCV's calibrations, and lie at a half in a Viewpoint
TO_EDGES = np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


@dataclass(frozen=True)
class Mount:
    """`K` of the frames, as `Viewpoint` has it, and either `T_base_camera` or `T_ee_camera`."""

    K: Float64[np.ndarray, "3 3"]
    T_base_camera: Pose | None = None
    T_ee_camera: Pose | None = None

    def viewpoint(self, T_base_ee: Pose, *, table_m: float) -> Viewpoint:
        """Return how the camera sees while the end effector is there; the table's top is at
        `table_m` in the base frame.
        """
        pose = self.T_base_camera
        if on_hand := pose is None:
            assert self.T_ee_camera is not None
            pose = T_base_ee @ self.T_ee_camera
        T_table_base = np.eye(4)
        T_table_base[2, 3] = -table_m
        return Viewpoint(self.K, T_table_base @ pose, on_hand=on_hand)


def mount_of(
    calibration: Calibration | None, edit: Edit, *, captured: tuple[int, int], straight: bool
) -> Mount | None:
    """Return where a camera stands whose captured pictures have this (height, width); None where it
    is not known, or where frames are bent: neither `straight` (undistorted) nor of such a lens.
    """
    if calibration is None or not (straight or not calibration.distortion.any()):
        return None
    if calibration.T_base_camera is None and calibration.T_ee_camera is None:
        return None
    height, width = captured
    lens = calibration.scaled_to(height=height, width=width)
    K = TO_EDGES @ edit.pixel_matrix(height, width) @ lens.K
    if lens.T_base_camera is not None:
        return Mount(K, T_base_camera=lens.T_base_camera)
    return Mount(K, T_ee_camera=lens.T_ee_camera)
