"""The cameras of a real arm as their calibration files say they stand (launch/calibrate.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robot.errors import InputError
from robot.hardware.cameras.calibration import read_calibration
from robot.train.relocation import Eye


def calibrated_eyes(files: Mapping[str, Path], *, cameras: Sequence[str]) -> tuple[Eye, ...]:
    """Return the cameras in the order of the recordings. A calibration is of the captured picture:
    frames that were resized since are fine, rotated or cropped ones are not.
    """
    if missing := [camera for camera in cameras if camera not in files]:
        raise InputError(
            f"got no calibration of {', '.join(missing)} for relocate, expected one of each camera "
            f"that was recorded; pass +calibrations.{missing[0]}=<file of launch/calibrate.py>"
        )
    return tuple(_eye(Path(files[camera])) for camera in cameras)


def _eye(file: Path) -> Eye:
    found = read_calibration(file)
    pose = found.T_base_camera if found.T_base_camera is not None else found.T_ee_camera
    if pose is None:
        raise InputError(
            f"got {file}, which does not say where its camera stands, expected T_base_camera or "
            "T_ee_camera; calibrate with mount=eye_to_hand or eye_in_hand"
        )
    size = np.array([found.width, found.height, 1.0])
    return Eye(K=found.K / size[:, None], pose=pose, on_hand=found.T_base_camera is None)
