"""The cameras of a real arm as their calibration files say they stand (launch/calibrate.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robot.errors import InputError
from robot.hardware.cameras.calibration import read_calibration
from robot.hardware.cameras.mount import mount_of
from robot.hardware.cameras.picture import Edit
from robot.train.relocation import Eye


def calibrated_eyes(files: Mapping[str, Path], *, cameras: Sequence[str]) -> tuple[Eye, ...]:
    """Return the cameras in the order of the recordings. A calibration is of the captured picture:
    frames that were straightened or resized since are fine, rotated or cropped ones are not.
    """
    if missing := [camera for camera in cameras if camera not in files]:
        raise InputError(
            f"got no calibration of {', '.join(missing)} for relocate, expected one of each camera "
            f"that was recorded; pass +calibrations.{missing[0]}=<file of launch/calibrate.py>"
        )
    return tuple(_eye(Path(files[camera])) for camera in cameras)


def _eye(file: Path) -> Eye:
    found = read_calibration(file)
    captured = found.height, found.width
    mount = mount_of(found, Edit(), captured=captured, straight=True)
    if mount is None:
        raise InputError(
            f"got {file}, which does not say where its camera stands, expected T_base_camera or "
            "T_ee_camera; calibrate with mount=eye_to_hand or eye_in_hand"
        )
    size = np.array([found.width, found.height, 1.0])
    on_hand = mount.T_base_camera is None
    pose = mount.T_ee_camera if on_hand else mount.T_base_camera
    assert pose is not None
    return Eye(K=mount.K / size[:, None], pose=pose, on_hand=on_hand)
