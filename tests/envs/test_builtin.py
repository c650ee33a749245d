"""robosuite's own tasks: wordings, roles, seeding and experts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robot.envs.builtin import TASKS, make_builtin, motion
from robot.envs.builtin.can import grasp_pose
from robot.envs.builtin.wordings import choose_wording, read_wordings
from robot.envs.env import GOAL_CHARSET
from robot.types import InputError, Label

OPTIONS: dict[str, Any] = {
    "robots": "Panda",
    "has_renderer": False,
    "has_offscreen_renderer": False,
    "use_camera_obs": False,
    "control_freq": 20,
    "ignore_done": True,
    "hard_reset": False,
    "initialization_noise": None,
    "renderer": "mujoco",
}


@pytest.fixture(scope="module")
def envs():
    return {name: make_builtin(name).make(wrap=lambda cls: cls, **OPTIONS) for name in TASKS}


def to_robosuite(action: np.ndarray) -> np.ndarray:
    return np.concatenate([action[:3] / 0.05, action[3:6] / 0.5, [1 - 2 * action[6]]])


def play(name: str, env, *, index: int, steps: int | None = None) -> tuple[bool, np.ndarray]:
    """Return whether the expert held success for three steps within `steps`, and the final joint
    positions.
    """
    task = make_builtin(name)
    task.begin(env, scene="clean", seed=0, index=index)
    expert, held = task.expert(env, rng=np.random.default_rng(index)), 0
    for _ in range(steps or task.horizon):
        env.step(to_robosuite(expert.act()))
        held = held + 1 if task.success(env) else 0
        if held == 3:
            break
    return held == 3, env.sim.data.qpos.copy()


def initial_state(env, *, name: str, index: int, scene: str = "clean") -> np.ndarray:
    """Return joint positions and body placements (the door is placed by moving its body) after
    `begin`.
    """
    make_builtin(name).begin(env, scene=scene, seed=3, index=index)
    return np.concatenate(
        [env.sim.data.qpos, env.sim.data.body_xpos.ravel(), env.sim.data.body_xquat.ravel()]
    )


@pytest.mark.parametrize("name", TASKS)
def test_every_task_holds_out_a_tenth_of_at_least_twenty_wordings(name):
    wordings = read_wordings()[name]
    assert len(wordings["seen"]) >= 20
    assert len(wordings["held_out"]) * 10 == len(wordings["seen"]) + len(wordings["held_out"])


@pytest.mark.parametrize("name", TASKS)
def test_wordings_are_distinct_and_spelled_in_the_goal_charset(name):
    sentences = read_wordings()[name]["seen"] + read_wordings()[name]["held_out"]
    assert len(set(sentences)) == len(sentences)
    assert set("".join(sentences)) <= set(GOAL_CHARSET)


@pytest.mark.parametrize("name", TASKS)
def test_a_held_out_goal_is_never_drawn_in_training(name):
    rng = np.random.default_rng(0)
    drawn = {choose_wording(name, rng=rng, held_out=False) for _ in range(300)}
    assert drawn.isdisjoint(read_wordings()[name]["held_out"])
    assert choose_wording(name, rng=rng, held_out=True) in read_wordings()[name]["held_out"]


@pytest.mark.parametrize("name", TASKS)
def test_roles_name_one_target_and_only_bodies_that_exist(name, envs):
    roles = make_builtin(name).roles(envs[name])
    assert list(roles.values()).count(Label.TARGET) == 1
    for body in roles:
        assert envs[name].sim.model.body_name2id(body) > 0


@pytest.mark.parametrize("name", TASKS)
def test_the_initial_state_depends_on_the_episode_and_not_on_what_came_before(name, envs):
    first = initial_state(envs[name], name=name, index=7)
    play(name, envs[name], index=1, steps=5)
    np.testing.assert_array_equal(initial_state(envs[name], name=name, index=7), first)
    assert not np.array_equal(initial_state(envs[name], name=name, index=8), first)


@pytest.mark.parametrize("name", TASKS)
def test_the_initial_state_does_not_depend_on_the_construction_seed(name, envs):
    other = make_builtin(name).make(wrap=lambda cls: cls, **OPTIONS, seed=123)
    expected = initial_state(envs[name], name=name, index=5)
    np.testing.assert_array_equal(initial_state(other, name=name, index=5), expected)
    np.testing.assert_array_equal(
        other.sim.model._model.geom_size, envs[name].sim.model._model.geom_size
    )


def test_a_harder_start_moves_the_arm_and_nothing_else(envs):
    clean = initial_state(envs["lift"], name="lift", index=4)[
        :16
    ]  # 7 arm, 2 finger and 7 cube coordinates
    start = initial_state(envs["lift"], name="lift", index=4, scene="start")[:16]
    np.testing.assert_array_equal(start[7:], clean[7:])
    assert 0.01 < np.abs(start[:7] - clean[:7]).max() < 0.08


def test_the_wording_condition_speaks_held_out_words(envs):
    goal = make_builtin("lift").begin(envs["lift"], scene="wording", seed=0, index=0)
    assert goal in read_wordings()["lift"]["held_out"]


def test_the_noise_condition_changes_the_frame_and_the_clean_one_does_not(envs):
    task, frame, rng = (
        make_builtin("lift"),
        np.full((8, 8, 3), 128, np.uint8),
        np.random.default_rng(0),
    )
    task.begin(envs["lift"], scene="noise", seed=0, index=0)
    assert (task.degrade(frame, rng=rng) != frame).any()
    task.begin(envs["lift"], scene="clean", seed=0, index=0)
    assert (task.degrade(frame, rng=rng) == frame).all()


def test_a_condition_that_needs_clutter_is_refused_with_those_that_work(envs):
    with pytest.raises(InputError, match="clean, start, noise, wording"):
        make_builtin("lift").begin(envs["lift"], scene="lookalike", seed=0, index=0)


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="lift, stack, can, door"):
        make_builtin("fold")


@pytest.mark.parametrize("name", TASKS)
def test_an_episode_replays_exactly(name, envs):
    first, second = (play(name, envs[name], index=2, steps=15)[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", TASKS)
def test_the_expert_succeeds_within_the_horizon(name, envs):
    assert play(name, envs[name], index=0)[0]


def test_holding_the_green_cube_is_holding_the_wrong_object(envs, monkeypatch):
    env = envs["stack"]
    monkeypatch.setattr(
        env, "_check_grasp", lambda gripper, object_geoms: object_geoms is env.cubeB
    )
    assert make_builtin("stack").wrong_object(env)
    monkeypatch.setattr(
        env, "_check_grasp", lambda gripper, object_geoms: object_geoms is env.cubeA
    )
    assert not make_builtin("stack").wrong_object(env)


def test_a_fallen_can_is_grasped_across_its_axis():
    manner = motion.Manner.draw(np.random.default_rng(0))
    along_y = motion.Pose(
        np.zeros(3), Rotation.from_euler("x", np.pi / 2).as_matrix()
    )  # its axis is the world's -y
    hand = grasp_pose(along_y, manner=manner, yaw_rad=0.3)
    np.testing.assert_allclose(np.abs(hand.rotation[:, 0]), [1.0, 0.0, 0.0], atol=1e-9)


def test_make_builds_the_class_that_wrap_returns():
    wrapped = []

    class Built:
        def __init__(self, **options):
            wrapped.append(options["horizon"])

    make_builtin("door").make(wrap=lambda cls: Built, horizon=7)
    assert wrapped == [7]


def test_servo_commands_gain_times_error_in_the_base_frame():
    start = motion.Pose(np.zeros(3), np.eye(3))
    goal = motion.Pose(np.array([0.01, 0.0, 0.0]), Rotation.from_euler("z", 0.2).as_matrix())
    quarter = Rotation.from_euler(
        "z", np.pi / 2
    ).as_matrix()  # the base's x axis is the world's y axis
    action = motion.servo(start, motion.Target(goal, 1.0), R_base_to_world=quarter, gain=2.0)
    np.testing.assert_allclose(action, [0.0, -0.02, 0.0, 0.0, 0.0, 0.4, 1.0], atol=1e-9)


def test_servo_shortens_a_long_step_without_turning_it():
    start = motion.Pose(np.zeros(3), np.eye(3))
    goal = motion.Pose(np.array([3.0, 4.0, 0.0]), np.eye(3))
    action = motion.servo(start, motion.Target(goal, 0.0), R_base_to_world=np.eye(3))
    np.testing.assert_allclose(action[:3], [0.03, 0.04, 0.0])


def test_top_down_hand_points_down_and_opens_along_its_yaw():
    rotation = motion.top_down(np.pi / 2)
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_nearest_yaw_uses_the_symmetry():
    assert motion.nearest_yaw(0.1, to_rad=np.pi / 2, period_rad=np.pi / 2) == pytest.approx(
        0.1 + np.pi / 2
    )


def test_unreasonable_expert_noise_is_refused():
    with pytest.raises(InputError, match="noise"):
        motion.ScriptedExpert(env=None, script=iter(()), noise=2.0, rng=np.random.default_rng(0))
