"""Facts about robot.envs.osc on the shipped Panda."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from robot.envs.mujoco_tabletop import MujocoTabletop
from robot.envs.osc import OperationalSpaceControl, _InertiaOfFirst, _rotation, _solve


@pytest.fixture(scope="module")
def world():
    world = MujocoTabletop(control_dt_s=0.05)
    world.begin(world.arm.rest_rad)
    mujoco.mj_forward(world.mj_model, world.mj_data)
    return world


def test_a_solved_system_is_that_of_numpy():
    rng = np.random.default_rng(0)
    root, columns = rng.normal(size=(7, 7)), rng.normal(size=(7, 6))
    matrix = root @ root.T + np.eye(7)
    before = matrix.copy()
    np.testing.assert_allclose(_solve(matrix, columns), np.linalg.solve(matrix, columns), atol=1e-9)
    np.testing.assert_array_equal(matrix, before)


def test_the_arms_inertia_is_mujocos(world):
    model, data = world.mj_model, world.mj_data
    dense = _InertiaOfFirst(model, 7)(data)
    for row in range(7):  # M times a unit vector is a column of M
        unit, column = np.zeros(model.nv), np.zeros(model.nv)
        unit[row] = 1.0
        mujoco.mj_mulM(model, data, column, unit)
        np.testing.assert_allclose(dense[:, row], column[:7], atol=1e-9)


def test_a_quarter_turn_about_z_takes_x_to_y():
    turn = _rotation(np.array([0.0, 0.0, np.pi / 2]))
    np.testing.assert_allclose(turn @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12)


def test_at_its_goal_and_at_rest_the_arm_carries_its_own_weight(world):
    control = OperationalSpaceControl(world.mj_model, world.mj_data, world.arm)
    control.begin(world.mj_data.qpos[world.arm.joints])
    control.aim(np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(control.torques(), world.mj_data.qfrc_bias[:7], atol=1e-6)


def test_torques_stay_within_the_motors_limits(world):
    control = OperationalSpaceControl(world.mj_model, world.mj_data, world.arm)
    control.aim(np.array([5.0, 0.0, 5.0]), np.array([0.0, 3.0, 0.0]))
    low, high = world.mj_model.actuator_ctrlrange[:7].T
    torques = control.torques()
    assert (torques >= low).all() and (torques <= high).all()
    assert (torques == high).any() or (torques == low).any()


def test_an_arm_that_is_held_brakes_every_joint(world):
    model, data = world.mj_model, world.mj_data
    data.qvel[:7] = [0.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0]
    began = data.qpos[:7].copy()
    control = OperationalSpaceControl(model, data, world.arm)
    control.hold()
    for _ in range(250):  # half a second
        mujoco.mj_step1(model, data)
        data.ctrl[:7] = control.torques()
        mujoco.mj_step2(model, data)
    ended, speed = data.qpos[:7].copy(), data.qvel[:7].copy()
    world.begin(world.arm.rest_rad)  # as the other tests find it
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(speed, 0.0, atol=0.05)
    np.testing.assert_allclose(ended, began, atol=0.02)
