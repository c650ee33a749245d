"""Calibration from rendered boards whose poses, K and arm are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.cameras.board import BoardOptions, find_board
from robot.hardware.cameras.hand_eye import calibrate_hand_eye, check_motion
from robot.hardware.cameras.intrinsics import board_pose, calibrate_intrinsics
from robot.hardware.cameras.poses import distance, inverse, pose_of
from tests.hardware.boards import BOARD, HEIGHT, WIDTH, K, arm_poses, board_poses, rendered

NONE = np.zeros(0)
T_HAND_CAMERA = pose_of(np.array([0.1, -0.2, 1.5]), np.array([0.05, -0.03, 0.08]))
T_WORLD_BOARD = pose_of(np.array([2.9, 0.3, -0.1]), np.array([0.5, 0.1, 0.02]))


def views_of(poses, *, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    views = [
        find_board(rendered(pose, noise=noise, generator=generator), BOARD, name=f"{k}.png")
        for k, pose in enumerate(poses)
    ]
    assert all(view is not None for view in views)
    return views


@pytest.fixture(scope="module")
def poses():
    return board_poses(12)


@pytest.fixture(scope="module")
def views(poses):
    return views_of(poses)


@pytest.fixture(scope="module")
def noisy(poses):
    return views_of(poses, noise=8.0)


def test_all_corners_are_found_to_a_tenth_of_a_pixel(poses, views):
    for pose, view in zip(poses, views, strict=True):
        points = BOARD.corners_m[view.ids]
        rotation = cv2.Rodrigues(pose[:3, :3])[0]
        true = cv2.projectPoints(points, rotation, pose[:3, 3], K, None)[0].reshape(-1, 2)
        assert len(view.ids) == 24
        assert np.sqrt(np.mean((view.corners_px - true) ** 2)) < 0.1


def test_the_boards_pose_is_found_within_a_millimetre(poses, views):
    for pose, view in zip(poses, views, strict=True):
        metres, degrees = distance(board_pose(view, BOARD, K=K, distortion=NONE), pose)
        assert metres < 0.001 and degrees < 0.2


@pytest.mark.parametrize(("seen", "within_px"), [("views", 2.0), ("noisy", 4.0)])
def test_intrinsics_are_recovered(seen, within_px, request):
    found = calibrate_intrinsics(request.getfixturevalue(seen), BOARD, height=HEIGHT, width=WIDTH)
    np.testing.assert_allclose(found.K, K, atol=within_px)
    assert np.abs(found.distortion).max() < 0.1
    assert found.reprojection_px < 0.2 and max(found.view_px) < 0.4
    assert (found.K_std_px < within_px).all()


@pytest.mark.parametrize("mount", ["eye_in_hand", "eye_to_hand"])
@pytest.mark.parametrize(("seen", "mm", "deg"), [("views", 0.5, 0.06), ("noisy", 0.8, 0.1)])
def test_the_cameras_place_is_recovered(mount, seen, mm, deg, poses, request):
    arm = arm_poses(poses, mount=mount, T_hand_camera=T_HAND_CAMERA, T_world_board=T_WORLD_BOARD)
    views = request.getfixturevalue(seen)
    found = calibrate_hand_eye(arm, views, BOARD, K=K, distortion=NONE, mount=mount)
    metres, degrees = distance(found.T_hand_camera, T_HAND_CAMERA)
    assert 1000 * metres < mm and degrees < deg
    metres, degrees = distance(found.T_world_board, T_WORLD_BOARD)
    assert 1000 * metres < mm and degrees < deg
    assert found.reprojection_px < 0.2
    assert max(found.view_mm) < 2.0 and max(found.view_deg) < 0.3
    assert found.other_method_mm < 5.0 and found.other_method_deg < 0.5


def test_an_arm_that_is_a_millimetre_off_gives_a_place_that_is_little_more_off(poses, views):
    generator = np.random.default_rng(1)
    arm = arm_poses(
        poses, mount="eye_in_hand", T_hand_camera=T_HAND_CAMERA, T_world_board=T_WORLD_BOARD
    )
    shaken = [
        pose @ pose_of(generator.normal(0, 0.002, 3), generator.normal(0, 0.001, 3)) for pose in arm
    ]
    found = calibrate_hand_eye(shaken, views, BOARD, K=K, distortion=NONE, mount="eye_in_hand")
    metres, degrees = distance(found.T_hand_camera, T_HAND_CAMERA)
    assert 1000 * metres < 3.0 and degrees < 0.3
    assert found.reprojection_px > 0.5  # and it says that the arm and the pictures disagree


def test_one_view_at_a_wrong_pose_of_the_arm_stands_out(poses, views):
    arm = arm_poses(
        poses, mount="eye_to_hand", T_hand_camera=T_HAND_CAMERA, T_world_board=T_WORLD_BOARD
    )
    arm[4] = arm[4] @ pose_of(np.array([0.0, 0.1, 0.0]), np.array([0.05, 0.0, 0.0]))
    found = calibrate_hand_eye(arm, views, BOARD, K=K, distortion=NONE, mount="eye_to_hand")
    assert int(np.argmax(found.view_mm)) == 4 and found.view_mm[4] > 30
    metres, degrees = distance(found.T_hand_camera, T_HAND_CAMERA)
    assert 1000 * metres < 10 and degrees < 1.0


def test_too_few_views_are_one_sentence(views, poses):
    with pytest.raises(InputError, match="got 4 pictures that show the board, expected at least 5"):
        calibrate_intrinsics(views[:4], BOARD, height=HEIGHT, width=WIDTH)
    with pytest.raises(InputError, match="got 4 poses of the arm with the board in view"):
        check_motion(poses[:4])


def test_views_from_one_side_are_one_sentence():
    poses = board_poses(6, tilt=0.02)
    with pytest.raises(InputError, match="all show the board from one side"):
        calibrate_intrinsics(views_of(poses), BOARD, height=HEIGHT, width=WIDTH)


def test_an_arm_that_does_not_turn_is_one_sentence():
    arm = [pose_of(np.zeros(3), np.array([0.1 * k, 0.0, 0.3])) for k in range(6)]
    with pytest.raises(InputError, match="differ by less than 10 degrees"):
        check_motion(arm)


def test_an_arm_that_turns_about_one_axis_is_one_sentence():
    arm = [pose_of(np.array([0.0, 0.0, 0.3 * k]), np.array([0.1 * k, 0.0, 0.3])) for k in range(6)]
    with pytest.raises(InputError, match="all about one axis"):
        check_motion(arm)


def test_a_picture_without_the_board_or_with_a_corner_of_it_is_no_view():
    assert find_board(np.full((HEIGHT, WIDTH, 3), 120, np.uint8), BOARD) is None
    pose = board_poses(1)[0]
    image = rendered(pose)
    image[:, 200:] = 120
    assert find_board(image, BOARD) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"squares_x": 2}, "got a board of 2 x 5 squares"),
        ({"marker_m": 0.04}, "with markers of 0.04 m"),
        ({"dictionary": "DICT_9X9"}, "got board.dictionary=DICT_9X9, expected one of DICT_4X4_100"),
        ({"squares_x": 30}, "30 x 5 squares with 75 markers, more than the 50 of DICT_4X4_50"),
    ],
)
def test_a_board_that_cannot_be_is_one_sentence(changes, message):
    values = {"squares_x": 7, "squares_y": 5, "square_m": 0.04, "marker_m": 0.03}
    with pytest.raises(InputError) as raised:
        BoardOptions(**{**values, "dictionary": "DICT_4X4_50", **changes})
    assert message in str(raised.value)


def test_a_pose_and_its_inverse():
    pose = pose_of(np.array([0.3, -0.2, 0.9]), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(pose @ inverse(pose), np.eye(4), atol=1e-12)
    assert distance(pose, pose @ pose_of(np.array([0.0, 0.1, 0.0]), np.array([0.0, 0, 0.02]))) == (
        pytest.approx(0.02),
        pytest.approx(np.degrees(0.1)),
    )
