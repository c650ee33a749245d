"""Where a calibrated camera stands, for frames that were turned and resized."""

from __future__ import annotations

import numpy as np
import pytest

from robot.hardware.cameras.calibration import Calibration
from robot.hardware.cameras.mount import mount_of
from robot.hardware.cameras.picture import Edit

K = np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]])  # pixel centres are whole numbers
AT = np.eye(4)
AT[:3, 3] = 0.4, 0.0, 0.5


def calibration(*, distortion: float = 0.0, **poses: np.ndarray) -> Calibration:
    return Calibration(48, 64, K, np.array([distortion, 0, 0, 0]), **poses)


def pixel(mount_K: np.ndarray, point: tuple[float, float, float]) -> list[float]:
    x, y, depth = mount_K @ point
    return [x / depth, y / depth]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit(), [42.0, 19.0]),  # 10 px right, 5 px up of the middle (31.5, 23.5), edges at a half
        (Edit(rotate=180), [64 - 42.0, 48 - 19.0]),
        (Edit(rotate=90), [48 - 19.0, 42.0]),
        (Edit(flip="horizontal"), [64 - 42.0, 19.0]),
        (Edit(size=(24, 32)), [21.0, 9.5]),
    ],
)
def test_a_point_is_where_the_edited_picture_shows_it(edit, expected):
    mount = mount_of(calibration(T_base_camera=AT), edit, captured=(48, 64), straight=False)
    assert mount is not None
    assert pixel(mount.K, (0.1, -0.05, 1.0)) == pytest.approx(expected)


def test_a_camera_on_the_hand_moves_with_it_over_the_table():
    mount = mount_of(calibration(T_ee_camera=AT), Edit(), captured=(48, 64), straight=False)
    assert mount is not None
    T_base_ee = np.eye(4)
    T_base_ee[:3, 3] = 0.1, 0.2, 0.3
    viewpoint = mount.viewpoint(T_base_ee, table_m=-0.1)
    assert viewpoint.on_hand
    np.testing.assert_allclose(viewpoint.T_table_camera[:3, 3], [0.5, 0.2, 0.9])
    fixed = mount_of(calibration(T_base_camera=AT), Edit(), captured=(48, 64), straight=False)
    assert fixed is not None
    viewpoint = fixed.viewpoint(T_base_ee, table_m=-0.1)
    assert not viewpoint.on_hand
    np.testing.assert_allclose(viewpoint.T_table_camera[:3, 3], [0.4, 0.0, 0.6])


def test_nothing_is_known_of_a_bent_picture_or_of_a_lens_alone():
    bent = calibration(T_base_camera=AT, distortion=-0.2)
    assert mount_of(bent, Edit(), captured=(48, 64), straight=False) is None
    assert mount_of(bent, Edit(), captured=(48, 64), straight=True) is not None
    assert mount_of(calibration(), Edit(), captured=(48, 64), straight=True) is None
    assert mount_of(None, Edit(), captured=(48, 64), straight=True) is None
