"""Observations are aligned in time; commands and actions are each other's inverse."""

from __future__ import annotations

import numpy as np
import pytest

from robot.deploy.rig import Rig, action_of, command_of, ee_pose, state_vector
from robot.hardware.cameras.mount import Mount
from robot.hardware.kinematics import rotation_matrix
from robot.hardware.safety import SafeArm
from tests.deploy.stage import FakeCamera
from tests.hardware.arms import Clock, PerfectArm, limits


@pytest.fixture
def rig():
    time = Clock()
    arm = PerfectArm(time, kind="gantry")
    camera = FakeCamera(time)
    return Rig(SafeArm(arm, limits(), clock=time), [camera]), arm, camera, time


def test_an_action_and_its_command_are_inverse(rig):
    rig, *_ = rig
    state = rig.observe("lift it").state
    action = np.array([0.01, -0.02, 0.03, 0.1, -0.2, 0.05, 0.7], np.float32)
    command = command_of(action, state, time_s=1.0)
    np.testing.assert_allclose(command.ee_position - state.ee_position, action[:3], atol=1e-7)
    turned = rotation_matrix(action[3:6].astype(float)) @ state.ee_rotation
    np.testing.assert_allclose(command.ee_rotation, turned, atol=1e-6)
    np.testing.assert_allclose(action_of(command, state), action, atol=1e-6)


@pytest.mark.parametrize("action", [np.full(7, np.nan), np.full(7, np.inf)])
def test_a_malformed_action_is_left_to_the_safety_layer(rig, action):
    rig, arm, *_ = rig
    rig.observe("lift it")
    before = arm.read().ee_position
    rig.act(action.astype(np.float32), seen=None, now_s=rig.arm._clock())
    np.testing.assert_allclose(arm.read().ee_position, before, atol=1e-6)
    assert "not_finite" in {kind.value for kind in rig.arm.interventions}


def test_the_state_is_that_of_when_the_frame_was_captured(rig):
    rig, arm, camera, time = rig
    rig.observe("lift it")
    before = arm.read().ee_position[0]
    time.pass_(0.1)
    arm.joints[0] += 0.02  # its x
    camera.frozen_s = time() - 0.025
    look = rig.observe("lift it")
    assert look.observation.time_s == pytest.approx(time() - 0.025)
    assert look.observation.proprio[0] == pytest.approx(before + 0.015, abs=1e-5)
    assert look.state.ee_position[0] == pytest.approx(before + 0.02)


def test_frames_say_where_a_mounted_camera_was_when_it_captured_them(rig):
    rig, arm, camera, time = rig
    on_hand = np.eye(4)
    on_hand[2, 3] = 0.1
    camera.mount = Mount(np.diag([50.0, 50.0, 1.0]), T_ee_camera=on_hand)
    assert rig.observe("lift it").observation.frames[0].viewpoint is None  # where is the table?
    rig.table_m = -0.2
    before = ee_pose(state_vector(rig.arm.read()))
    time.pass_(0.1)
    arm.joints[0] += 0.02
    camera.frozen_s = time() - 0.025
    viewpoint = rig.observe("lift it").observation.frames[0].viewpoint
    expected = before.copy()
    expected[0, 3] += 0.015  # three quarters of the way
    expected[2, 3] += 0.2
    assert viewpoint.on_hand
    np.testing.assert_allclose(viewpoint.T_table_camera, expected @ on_hand, atol=1e-5)


def test_a_state_is_a_pose_again(rig):
    rig, *_ = rig
    state = rig.observe("lift it").state
    T_base_ee = ee_pose(state_vector(state))
    np.testing.assert_allclose(T_base_ee[:3, :3], state.ee_rotation, atol=1e-6)
    np.testing.assert_allclose(T_base_ee[:3, 3], state.ee_position, atol=1e-6)
