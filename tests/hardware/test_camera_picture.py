"""Edits of pictures, the health of a camera, and when recordings' frames are due."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.camera import CameraError
from robot.hardware.cameras.capture import Captured, frames_per_second, health_of
from robot.hardware.cameras.options import Crop, kind_of, shown
from robot.hardware.cameras.picture import Edit, is_black
from robot.hardware.cameras.sources import Pace, apply_settings, capture_time
from tests.hardware.cameras import camera_options

LIMITS = camera_options(0).limits
EDITS = [
    Edit(rotate=90),
    Edit(rotate=180),
    Edit(rotate=270, flip="vertical"),
    Edit(flip="horizontal", crop=Crop(top=3, left=20, height=20, width=24)),
    Edit(
        rotate=90, flip="horizontal", crop=Crop(top=2, left=1, height=30, width=20), size=(60, 40)
    ),
]


@pytest.mark.parametrize("edit", EDITS)
def test_the_pixel_matrix_says_where_a_pixel_goes(edit):
    x, y = 11, 9
    image = np.zeros((32, 48, 3), np.uint8)
    image[y, x] = 255
    found = np.argwhere(edit.apply(image)[..., 0] > 100)
    expected = edit.pixel_matrix(32, 48) @ (x, y, 1)
    np.testing.assert_allclose(found.mean(0)[::-1], expected[:2], atol=0.01)


def test_health_tells_how_old_and_how_fast():
    image = np.full((8, 8, 3), 50, np.uint8)
    captured = Captured().with_connection()
    assert health_of(captured, now_s=5.0, limits=LIMITS).age_s == math.inf
    for k in range(4):
        captured = captured.with_frame(image, time_s=10.0 + 0.1 * k, black=False)
    health = health_of(captured, now_s=10.35, limits=LIMITS)
    assert (health.fps, health.age_s) == (pytest.approx(10.0), pytest.approx(0.05))
    assert health.problem == ""
    late = health_of(captured, now_s=10.9, limits=LIMITS)
    assert late.frozen and late.problem == "frozen: no new picture for 0.60 s"
    assert late.fps == pytest.approx(3 / 0.8)


def test_repeats_make_a_camera_frozen_and_its_frame_older():
    image = np.full((8, 8, 3), 50, np.uint8)
    captured = Captured().with_connection().with_frame(image, time_s=10.0, black=False)
    for _ in range(LIMITS.frozen_after - 1):
        captured = captured.with_repeat()
    assert not health_of(captured, now_s=10.2, limits=LIMITS).frozen
    captured = captured.with_repeat()
    health = health_of(captured, now_s=10.2, limits=LIMITS)
    assert health.frozen and health.age_s == pytest.approx(0.2)
    assert captured.shot.index == 0


def test_only_a_connection_after_the_first_frame_is_a_reconnection():
    captured = Captured().with_connection().with_loss("no").with_connection()
    assert captured.reconnects == 0
    captured = captured.with_frame(np.zeros((8, 8, 3), np.uint8), time_s=1.0, black=True)
    assert captured.with_loss("cable").with_connection().reconnects == 1


def test_one_frame_has_no_rate():
    assert frames_per_second((1.0,), now_s=2.0) == 0.0


def test_a_dark_scene_with_a_lamp_is_not_black():
    image = np.zeros((64, 64, 3), np.uint8)
    image[0, 0] = 255
    image[::3] += 10
    assert not is_black(image, level=8)
    assert is_black(np.full((64, 64, 3), 16, np.uint8), level=16)
    image[:] = 0
    image[:16, :16] = 200
    assert not is_black(image, level=16)


def test_frames_that_are_late_are_left_out():
    now, waits = [0.0], []
    pace = Pace(fps=10.0, speed=2.0, wait=waits.append, clock=lambda: now[0])
    assert pace.to_leave_out() == 0
    pace.await_due()
    assert pace.to_leave_out() == 0
    pace.await_due()
    assert waits == [pytest.approx(0.05)]
    now[0] = 0.26  # frame 5 is due at 0.25 s; 2, 3 and 4 are too late
    assert pace.to_leave_out() == 3
    pace.await_due()
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("driver_s", "expected"), [(99.97, 99.97), (0.0, 100.0), (100.5, 100.0), (-3.7e17, 100.0)]
)
def test_the_drivers_time_of_capture_is_believed_where_it_can_be_one(driver_s, expected):
    assert capture_time(100.0, driver_s=driver_s) == expected


@pytest.mark.parametrize(
    ("source", "kind"),
    [("0", "device"), ("/dev/video2", "device"), ("rtsp://a/b", "URL"), ("http://a", "URL")],
)
def test_the_kind_of_a_source_is_read_off_its_text(source, kind):
    assert kind_of(source).value == kind


def test_passwords_are_not_shown():
    assert shown("rtsp://me:p%40ss@10.0.0.2/live") == "rtsp://***@10.0.0.2/live"
    assert shown("{source: 'http://a:b@c', x: rtsp://d:e@f}") == (
        "{source: 'http://***@c', x: rtsp://***@f}"
    )
    assert shown("http://host/a@b") == "http://host/a@b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "nothing.mp4"}, "got source=nothing.mp4, expected a device"),
        ({"source": 0, "height": 48}, "got height=48 and width=None"),
        ({"source": 0, "undistort": True}, "got undistort=true without a calibration"),
        ({"source": "http://a", "settings": {"gain": 1}}, "got settings gain for camera front"),
        ({"source": 0, "settings": {"zoom": 1}}, "got setting zoom for camera front"),
        ({"source": 0, "rotate": 45}, "got cameras.front.rotate=45"),
        ({"source": 0, "limits": {"frozen": 1}}, "got cameras.front.limits.frozen"),
        ({"source": 0, "colour": 1}, "got cameras.front.colour"),
    ],
)
def test_bad_options_are_one_sentence(changes, message):
    with pytest.raises(InputError) as raised:
        camera_options(**changes)
    assert str(raised.value).startswith(message)


def test_what_a_device_does_not_take_is_one_sentence(tmp_path):
    capture = cv2.VideoCapture(str(tmp_path / "none.avi"))  # takes nothing
    with pytest.raises(CameraError, match="device 0 does not take exposure=120"):
        apply_settings(capture, {"exposure": 120.0}, name="0")
