"""launch/calibrate.py on rendered boards, in this process; a stream reads what it writes."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from launch import calibrate
from robot.hardware.cameras.board import find_board
from robot.hardware.cameras.calibration import read_calibration
from robot.hardware.cameras.poses import distance, pose_of
from robot.hardware.cameras.stream import OpenCVStream
from tests.hardware.boards import BOARD, K, arm_poses, board_poses, rendered
from tests.hardware.cameras import camera_options

T_HAND_CAMERA = pose_of(np.array([0.1, -0.2, 1.5]), np.array([0.05, -0.03, 0.08]))
T_WORLD_BOARD = pose_of(np.array([2.9, 0.3, -0.1]), np.array([0.5, 0.1, 0.02]))


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch/calibrate.py", *arguments])
        code = 0
        try:
            calibrate.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def pictures():
    poses = board_poses(9)
    arm = arm_poses(
        poses, mount="eye_to_hand", T_hand_camera=T_HAND_CAMERA, T_world_board=T_WORLD_BOARD
    )
    return [(rendered(pose), at) for pose, at in zip(poses, arm, strict=True)]


@pytest.fixture
def folder(pictures, tmp_path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for k, (image, at) in enumerate(pictures):
        cv2.imwrite(str(made / f"{k:03d}.png"), image)
        (made / f"{k:03d}.json").write_text(json.dumps({"T_base_ee": at.tolist()}))
    return made


def test_a_folder_of_views_becomes_the_file_that_a_stream_reads(command, folder, tmp_path):
    cv2.imwrite(str(folder / "999.png"), np.full((480, 640, 3), 90, np.uint8))  # no board in it
    (folder / "999.json").write_text((folder / "000.json").read_text())
    code, out, err = command("pictures=in", "mount=eye_to_hand", "output=front.json")
    assert code == 0, err
    file = tmp_path / out.splitlines()[-1]
    results = json.loads(file.read_text())
    assert results["unused"] == ["999.png"] and len(results["used"]) == 9
    assert results["lens"]["reprojection_px"] < 0.2
    found = read_calibration(tmp_path / "front.json")
    np.testing.assert_allclose(found.K, K, atol=4.0)
    assert found.T_ee_camera is None
    metres, degrees = distance(found.T_base_camera, T_HAND_CAMERA)
    assert 1000 * metres < 5 and degrees < 0.5  # K is estimated, too
    assert cv2.imread(str(file.parent / "views.png")) is not None
    options = camera_options(folder, calibration="front.json", undistort=True, play={"speed": None})
    with OpenCVStream(options) as stream:
        np.testing.assert_array_equal(stream.calibration.T_base_camera, found.T_base_camera)
        assert stream.newest().image.shape == (480, 640, 3)


def test_a_known_lens_is_used_unchanged(command, folder, tmp_path):
    code, _, err = command("pictures=in", "output=lens.json")
    assert code == 0, err
    before = read_calibration(tmp_path / "lens.json")
    arguments = ["mount=eye_to_hand", "calibration=lens.json", "output=both.json"]
    code, _, err = command("pictures=in", *arguments)
    assert code == 0, err
    after = read_calibration(tmp_path / "both.json")
    np.testing.assert_array_equal(after.K, before.K)
    assert before.T_base_camera is None and after.T_base_camera is not None


def test_without_pictures_the_board_to_print_is_written(command, tmp_path):
    code, out, err = command("dpi=150")
    assert code == 0 and "at 100 % (280 x 200 mm)" in err
    picture = cv2.imread(str((tmp_path / out.splitlines()[-1]).parent / "board.png"))
    assert picture.shape == (1181, 1654, 3)
    framed = cv2.copyMakeBorder(picture, 90, 90, 90, 90, cv2.BORDER_CONSTANT, value=(255,) * 3)
    assert len(find_board(framed, BOARD).ids) == 24


def test_a_view_at_a_wrong_pose_is_named(command, folder):
    (folder / "004.json").write_text((folder / "001.json").read_text())
    code, _, err = command("pictures=in", "mount=eye_to_hand")
    assert code == 2 and err.startswith("error: got 004.png at a pose of the arm that does not fit")


def test_a_wrong_mount_is_one_sentence(command, folder, tmp_path):
    code, _, err = command("pictures=in", "mount=eye_in_hand")
    assert code == 2 and "check that mount is right" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (
            lambda f: (f / "003.json").unlink(),
            ["mount=eye_to_hand"],
            "got no in/003.json, expected",
        ),
        (
            lambda f: (f / "003.json").write_text("{"),
            ["mount=eye_to_hand"],
            "got in/003.json, which",
        ),
        (
            lambda f: (f / "003.json").write_text('{"T": 1}'),
            ["mount=eye_to_hand"],
            "got in/003.json without an arm's pose",
        ),
        (
            lambda f: (f / "003.json").write_text(json.dumps({"T_base_ee": [[2.0] * 4] * 4})),
            ["mount=eye_to_hand"],
            "got the pose of in/003.json=",
        ),
        (lambda f: (f / "003.png").write_text("no"), [], "got in/003.png, which is no picture"),
        (
            lambda f: cv2.imwrite(str(f / "003.png"), np.zeros((48, 64, 3), np.uint8)),
            [],
            "got pictures of 640 x 480 px",
        ),
        (lambda f: [p.unlink() for p in f.iterdir()], [], "got pictures=in without pictures"),
        (
            lambda f: [p.unlink() for p in f.glob("00[3-9].png")],
            [],
            "got 3 pictures that show the board, expected at least 5",
        ),
        (lambda f: None, ["mount=ceiling"], "got mount=ceiling, expected"),
        (lambda f: None, ["board.dictionary=DICT_9"], "got board.dictionary=DICT_9, expected"),
        (
            lambda f: None,
            ["calibration=no.json", "mount=eye_to_hand"],
            "got calibration=no.json, wh",
        ),
        (lambda f: None, ["calibration=no.json"], "got calibration=no.json and mount=none"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_run(
    command, folder, tmp_path, spoil, arguments, message
):
    spoil(folder)
    code, _, err = command("pictures=in", *arguments)
    assert code == 2 and err.startswith(f"error: {message}") and err.count("\n") == 1, err
    assert not (tmp_path / "runs").exists()
