"""Rotation vectors, Jacobians and inverse kinematics."""

from __future__ import annotations

import numpy as np
import pytest

from robot.hardware.kinematics import (
    Pose,
    difference,
    is_rotation,
    jacobian,
    move,
    pose_at,
    rotation_matrix,
    rotation_vector,
    solve,
)
from tests.hardware.arms import (
    PANDA_HOME,
    PANDA_JOINTS,
    gantry_forward,
    panda_forward,
)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 1e-5, 0.3, 2.0, 3.0, 3.14])
def test_a_rotation_vector_survives_its_matrix_however_small(angle):
    vector = angle * np.array([2.0, -1.0, 2.0]) / 3

    np.testing.assert_allclose(rotation_vector(rotation_matrix(vector)), vector, atol=1e-12)


def test_half_a_turn_is_pi_about_its_axis():
    assert np.abs(rotation_vector(np.diag([1.0, -1.0, -1.0]))) == pytest.approx([np.pi, 0, 0])


def test_difference_inverts_move():
    start = Pose(position=np.array([0.1, 0.2, 0.3]), rotation=rotation_matrix(np.ones(3)))
    twist = np.array([0.01, -0.02, 0.03, 0.4, -0.5, 0.6])

    np.testing.assert_allclose(difference(move(start, twist), start), twist, atol=1e-12)


def test_the_jacobian_of_a_gantry_is_what_its_axes_say():
    at_zero = np.array([0.5, 0.0, 0.3, 0.0, 0.0, 0.0])

    columns = jacobian(gantry_forward, at_zero, at=pose_at(gantry_forward, at_zero))

    expected = np.eye(6)[:, [0, 1, 2, 5, 4, 3]]  # yaw about z, pitch about y, roll about x
    np.testing.assert_allclose(columns, expected, atol=1e-4)


def test_inverse_kinematics_finds_a_pose_of_the_panda():
    goal_joints = PANDA_HOME + 0.2
    goal = pose_at(panda_forward, goal_joints)

    joints, missing = solve(
        panda_forward, goal, start=PANDA_HOME, low=PANDA_JOINTS.low, high=PANDA_JOINTS.high
    )

    assert np.abs(missing).max() < 1e-4
    np.testing.assert_allclose(panda_forward(joints)[0], goal.position, atol=1e-4)


def test_a_pose_out_of_reach_leaves_a_residual_and_joints_within_bounds():
    goal = Pose(position=np.array([2.0, 0.0, 0.5]), rotation=np.eye(3))

    joints, missing = solve(
        panda_forward, goal, start=PANDA_HOME, low=PANDA_JOINTS.low, high=PANDA_JOINTS.high
    )

    assert np.linalg.norm(missing[:3]) > 0.5
    assert (joints >= PANDA_JOINTS.low).all() and (joints <= PANDA_JOINTS.high).all()


def test_a_shear_and_a_mirror_are_no_rotations():
    assert is_rotation(rotation_matrix(np.array([0.1, 2.0, 0.3])))
    assert not is_rotation(np.eye(3) + np.eye(3, k=1) * 0.01)
    assert not is_rotation(np.diag([1.0, 1.0, -1.0]))
