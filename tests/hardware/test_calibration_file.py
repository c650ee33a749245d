"""Calibration files, undistortion, and views recorded from an arm and a camera."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.arm import ArmState
from robot.hardware.camera import CameraError, Shot
from robot.hardware.cameras.calibration import (
    Calibration,
    Undistortion,
    read_calibration,
    write_calibration,
)
from robot.hardware.cameras.poses import pose_of
from robot.hardware.cameras.views import read_photos, record_views
from tests.hardware.boards import BOARD, board_poses, rendered

LENS = Calibration(
    height=480,
    width=640,
    K=np.array([[520.0, 0, 325], [0, 515, 236], [0, 0, 1]]),
    distortion=np.array([-0.2, 0.05, 0.001, -0.002, 0.0]),
    T_base_camera=pose_of(np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])),
)


def assert_same(a: Calibration, b: Calibration) -> None:
    assert (a.height, a.width) == (b.height, b.width)
    for name in ("K", "distortion", "T_base_camera", "T_ee_camera"):
        ours, theirs = getattr(a, name), getattr(b, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_file_gives_back_what_was_written(tmp_path):
    write_calibration(tmp_path / "a.json", LENS, notes={"mount": "eye_to_hand"})
    assert_same(read_calibration(tmp_path / "a.json"), LENS)


@pytest.mark.parametrize("ending", ["yaml", "xml", "json"])
@pytest.mark.parametrize(
    "names", [("K", "distortion"), ("camera_matrix", "distortion_coefficients")]
)
def test_opencvs_own_files_are_read(tmp_path, ending, names):
    path = tmp_path / f"a.{ending}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("calibration_time", "Thu Nov 26")
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write(names[0], LENS.K)
    storage.write(names[1], LENS.distortion.reshape(5, 1))
    storage.write("T_base_camera", LENS.T_base_camera)
    storage.release()
    assert_same(read_calibration(path), LENS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": None}, "expected image_width, image_height and K"),
        ({"image_width": None}, "expected image_width, image_height and K"),
        ({"K": [[1, 2], [3, 4]]}, "cannot reshape"),
        ({"K": [[-5, 0, 1], [0, 5, 1], [0, 0, 1]]}, "got K="),
        ({"distortion": [0.1, 0.2]}, "got distortion="),
        ({"T_base_camera": np.diag([1.0, 1, -1, 1]).tolist()}, "got T_base_camera="),
        ({"T_base_camera": (2 * np.eye(4)).tolist()}, "got T_base_camera="),
        ({"image_height": 0}, "expected a size"),
    ],
)
def test_a_file_that_cannot_be_is_one_sentence_that_names_it(tmp_path, changes, message):
    path = tmp_path / "a.json"
    write_calibration(path, LENS)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError) as raised:
        read_calibration(path)
    assert message in str(raised.value) and str(path) in str(raised.value)


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.yaml", "K: ["), ("a.json", "[1]")])
def test_another_file_is_one_sentence(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"got .*{name}"):
        read_calibration(tmp_path / name)


def test_undistortion_makes_lines_straight():
    """A grid of points, distorted as the lens does, lies after undistortion where a lens without
    distortion would have put it.
    """
    world = np.array([[x, y, 2.0] for x in (-0.8, 0.0, 0.7) for y in (-0.5, 0.1, 0.5)])
    zero = np.zeros(3)
    bent = cv2.projectPoints(world, zero, zero, LENS.K, LENS.distortion)[0].reshape(-1, 2)
    straight = cv2.projectPoints(world, zero, zero, LENS.K, None)[0].reshape(-1, 2)
    assert np.linalg.norm(bent - straight, axis=1).max() > 4
    image = np.zeros((480, 640, 3), np.uint8)
    for x, y in bent:
        cv2.circle(image, (round(x), round(y)), 3, (255, 255, 255), -1)
    found = Undistortion(LENS).apply(image)[..., 0] > 127
    _, _, _, centres = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    for point in straight:
        assert np.linalg.norm(centres[1:] - point, axis=1).min() < 1.0


def test_a_calibration_scales_with_the_resolution_and_not_with_the_aspect():
    half = LENS.scaled_to(height=240, width=320)
    np.testing.assert_allclose(half.K[0], (260, 0, (325 + 0.5) / 2 - 0.5))
    assert_same(half.scaled_to(height=480, width=640), LENS)
    with pytest.raises(CameraError, match="640 x 400 px do not fit a calibration of 640 x 480"):
        LENS.scaled_to(height=400, width=640)


class Stand:
    """An arm and a camera on one clock: the arm moves until `rests_at`, the camera sees a board."""

    def __init__(self, images):
        self.now_s, self.rests_at, self.images, self.view = 0.0, 0.5, images, -1

    def clock(self):
        return self.now_s

    def wait(self, seconds):
        self.now_s += seconds

    def ask(self, sentence):
        self.view += 1
        self.rests_at = self.now_s + 0.5
        return self.view < len(self.images)

    def read(self):
        speed = 0.0 if self.now_s >= self.rests_at else 0.2
        position = np.array([0.1 * self.view, 0.0, 0.3 + speed])
        return ArmState(self.now_s, np.zeros(7), np.full(7, speed), position, np.eye(3), 1.0)

    def newest(self):
        return Shot(self.images[self.view], self.now_s - 0.05, int(self.now_s * 30))


def test_views_are_taken_at_rest_and_only_with_the_board_in_sight(tmp_path):
    good = [rendered(pose) for pose in board_poses(2)]
    stand = Stand([good[0], np.full((480, 640, 3), 90, np.uint8), good[1]])
    count = record_views(
        stand, stand, BOARD, tmp_path / "out", ask=stand.ask, clock=stand.clock, wait=stand.wait
    )
    assert count == 2
    photos = read_photos(tmp_path / "out", with_poses=True)
    assert [photo.name for photo in photos] == ["000.png", "001.png"]
    np.testing.assert_array_equal(photos[1].image, good[1])
    # of views 0 and 2, after the arm had come to rest
    np.testing.assert_allclose([p.T_base_ee[:3, 3] for p in photos], [[0, 0, 0.3], [0.2, 0, 0.3]])


def test_an_arm_that_does_not_rest_gives_no_view(tmp_path):
    stand, sentences = Stand([rendered(pose) for pose in board_poses(1)]), []
    stand.rests_at = 1e9

    def ask(sentence):
        sentences.append(sentence)
        stand.view += 1
        return stand.view == 0

    count = record_views(stand, stand, BOARD, tmp_path, ask=ask, clock=stand.clock, wait=stand.wait)
    assert count == 0 and "the arm did not rest" in sentences[1]


def test_recording_continues_in_a_folder_that_has_views(tmp_path):
    image = rendered(board_poses(1)[0])
    for _ in range(2):
        stand = Stand([image])
        record_views(
            stand, stand, BOARD, tmp_path, ask=stand.ask, clock=stand.clock, wait=stand.wait
        )
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["000.json", "001.json"]
