"""Every arm behind the same env API. Envs are built once per arm: they take seconds."""

from __future__ import annotations

import numpy as np
import pytest

from robot.envs.arm_spaces import MAX_DELTA_M, MAX_DELTA_RAD
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.robots import PREFIX, ROBOTIQ_85, ROBOTS, check_robot, finger_addresses, gripper_of
from robot.envs.tabletop.scene import ARM_JOINTS
from robot.types import InputError, Label

OPEN, CLOSE = [0.0] * 6 + [1.0], [0.0] * 6 + [0.0]


@pytest.fixture(scope="module", params=ROBOTS)
def env(request):
    env = RobosuiteEnv(task="pick", robot=request.param, image_size=64)
    yield env
    env.close()


def actions(action: list[float], *, times: int) -> np.ndarray:
    return np.tile(np.array(action, dtype=np.float32), (times, 1))


def test_an_unknown_robot_names_the_choices():
    with pytest.raises(InputError, match="got robot 'UR10', expected one of Panda, UR5e, Sawyer"):
        check_robot("UR10")


def test_opening_inverts_joints():
    for share in (0.0, 0.3, 1.0):
        assert ROBOTIQ_85.opening(ROBOTIQ_85.joints(share)) == pytest.approx(share)


def test_the_default_arm_is_compiled_as_robosuite_made_it():
    assert ROBOTS["Panda"].edit_xml("<mujoco/>") == "<mujoco/>"


def test_finger_travel_lies_within_the_joints_of_the_model(env):
    for finger in gripper_of(env.sim).fingers:
        low, high = env.model.joint(PREFIX + finger.joint).range
        assert low - 1e-3 <= min(finger.closed, finger.open)
        assert max(finger.closed, finger.open) <= high + 1e-3


def test_action_bounds_are_the_limits_of_the_controller(env):
    controller = env.sim.robots[0].part_controllers["right"]
    np.testing.assert_allclose(controller.output_max, [MAX_DELTA_M] * 3 + [MAX_DELTA_RAD] * 3)


def test_observations_lie_in_the_space(env):
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)


def test_the_arm_starts_at_rest_give_or_take_the_noise_of_the_scene(env):
    env.reset(seed=0)
    joints = env.data.qpos[env.sim.robots[0]._ref_joint_pos_indexes]
    assert len(joints) <= ARM_JOINTS
    np.testing.assert_allclose(joints, env.sim.start_joints(env.task.scene))


def test_the_hand_rests_above_the_table_pointing_down(env):
    observation, _ = env.reset(seed=0)
    x, y, z = observation["proprio"]["ee_position"]
    assert 0.35 < x < 0.55 and abs(y) < 0.08 and z > -0.02
    np.testing.assert_allclose(observation["proprio"]["ee_rotation"], [0, 1, 0, 1, 0, 0], atol=0.25)


def test_fingers_close_and_open(env):
    env.reset(seed=0)
    assert env.execute(actions(OPEN, times=20))[0]["proprio"]["gripper"] > 0.9
    closed = env.execute(actions(CLOSE, times=25))[0]["proprio"]["gripper"]
    assert closed < 0.15
    assert env.execute(actions(OPEN, times=25))[0]["proprio"]["gripper"] > 0.9


def test_a_linkage_keeps_its_joints_together(env):
    gripper = gripper_of(env.sim)
    env.reset(seed=0)
    env.advance(actions(CLOSE, times=10))
    joints = env.data.qpos[finger_addresses(env.sim)]
    if gripper.linkage:
        np.testing.assert_allclose(joints, gripper.joints(gripper.opening(joints)), atol=0.06)


def test_the_hand_goes_where_it_is_sent(env):
    before = env.reset(seed=0)[0]["proprio"]["ee_position"]
    after = env.execute(actions([0.01, 0.01, 0.01, 0, 0, 0, 1.0], times=10))[0]["proprio"]
    moved = after["ee_position"] - before
    assert (moved > 0.01).all() and (moved < 0.11).all()


def test_the_gripper_is_labelled_in_the_wrist_camera(env):
    env.reset(seed=0)
    wrist = env.label_maps()["wrist"]
    assert (wrist[-8:] == Label.GRIPPER).mean() > 0.3  # at the lower edge: the frame is upright
    assert (wrist[:16] == Label.GRIPPER).mean() < 0.05


def test_the_gripper_shows_in_the_other_camera_over_the_table(env):
    env.reset(seed=0)
    env.advance(actions([0.02, 0, 0, 0, 0, 0, 1.0], times=8))
    assert (env.label_maps()["agentview"] == Label.GRIPPER).sum() > 20


def test_the_expert_picks(env):
    env.reset(seed=2000, options={"episode": 1, "scene": "clean"})
    expert, success, truncated = env.expert(rng=np.random.default_rng(1)), False, False
    while not (success or truncated):
        success, truncated = env.advance(expert.act()[None])
    assert success
