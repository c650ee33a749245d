"""RobosuiteEnv on the tabletop and, where it matters, on robosuite's own tasks: frames, actions,
truth, repeatability.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from robot.envs import gym_id
from robot.envs.arm import PANDA_HAND
from robot.envs.arm_spaces import MAX_DELTA_M, MAX_DELTA_RAD, arm_spaces
from robot.envs.registry import BUILTIN, NATIVE, TASKS, make_task
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.simulated import SUCCESS_STEPS
from robot.envs.tabletop import catalogue as cat
from robot.types import InputError, Label, Observation

SIZE = 64
STILL = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


def make(task: str) -> RobosuiteEnv:
    env = gymnasium.make(gym_id(task), image_size=SIZE).unwrapped
    assert isinstance(env, RobosuiteEnv)
    return env


@pytest.fixture(scope="module")
def pick():
    env = make("pick")
    yield env
    env.close()


@pytest.fixture
def env(pick):
    """The one env, as it is after construction but for what `reset` sets."""
    pick.switch_task("pick")
    return pick


def begin(
    env: RobosuiteEnv, *, seed: int = 0, episode: int = 0, scene: str = "clean"
) -> dict[str, Any]:
    return env.reset(seed=seed, options={"episode": episode, "scene": scene})[0]


def project(env: RobosuiteEnv, camera: str, point: np.ndarray) -> np.ndarray:
    """Return the pixel (u, v) of a world point [m]."""
    intrinsics, T_world_camera = env.camera_matrices(camera)
    u, v, w = intrinsics @ (np.linalg.inv(T_world_camera) @ [*point, 1.0])[:3]
    return np.array([u / w, v / w])


def target_of(env: RobosuiteEnv) -> np.ndarray:
    """Return the middle of the target [m]."""
    scene = env.task.scene
    return env.sim.position(scene.target) + [0, 0, 0.02]


def pixels(labels: np.ndarray, label: Label) -> np.ndarray:
    """Return the (u, v) of every pixel with a label, at pixel centres."""
    rows, columns = np.nonzero(labels == label)
    return np.stack([columns + 0.5, rows + 0.5], axis=1)


def seen(env: RobosuiteEnv) -> dict[str, np.ndarray]:
    """Return everything that a repeated episode must repeat."""
    shown = env.observe()
    return {
        **shown["images"],
        **shown["proprio"],
        **shown["time"],
        "qpos": env.data.qpos.copy(),
        "qvel": env.data.qvel.copy(),
    }


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# --- Gymnasium


def test_every_task_is_registered():
    assert {gym_id(task) for task in TASKS} <= set(gymnasium.registry)
    assert gym_id("pick") == "robot/pick-v0"


def test_gymnasium_has_nothing_to_complain_about():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(gymnasium.make("robot/pick-v0", image_size=16).unwrapped)
    complaints = [str(warning.message) for warning in said if "gymnasium" in str(warning.filename)]
    # Actions are metres, radians and an opening on purpose; a policy normalises them with its own
    # statistics.
    assert [text for text in complaints if "symmetric and normalized" not in text] == []


def test_envs_in_processes_of_their_own_show_their_own_frames(env):
    spawned = gymnasium.make_vec(
        "robot/pick-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn"},
        image_size=SIZE,
    )
    try:
        observation, info = spawned.reset(seed=[1, 2])
        actions = np.stack([STILL, STILL])
        actions[0, 0], actions[1, 1] = 0.03, 0.03
        after, *_ = spawned.step(actions)
    finally:
        spawned.close()
    assert info["seed"].tolist() == [1, 2]
    for k, seed in enumerate((1, 2)):
        alone = begin(env, seed=seed)
        for camera in env.cameras:
            np.testing.assert_array_equal(observation["images"][camera][k], alone["images"][camera])
        assert observation["goal"]["text"][k] == alone["goal"]["text"]
        stepped = env.step(actions[k])[0]
        np.testing.assert_array_equal(after["images"]["wrist"][k], stepped["images"]["wrist"])


def test_a_reset_without_a_seed_moves_one_episode_on(env):
    _, first = env.reset(seed=4)
    _, second = env.reset()
    _, third = env.reset(seed=4, options={"episode": 1})
    assert [(i["seed"], i["episode"]) for i in (first, second, third)] == [(4, 0), (4, 1), (4, 1)]


def test_the_first_reset_without_a_seed_draws_one_at_random(env):
    seeds = set()
    for _ in range(2):
        env._seed = None  # as it is after construction
        seeds.add(env.reset()[1]["seed"])
    assert len(seeds) == 2


def test_an_async_vector_env_works_as_gymnasium_makes_it_by_default():
    code = """
import gymnasium, robot.envs
envs = gymnasium.make_vec("robot/lift-v0", num_envs=2, vectorization_mode="async", image_size=16)
observation, info = envs.reset(seed=[1, 2], options={"scene": "clean"})
after = envs.step(envs.action_space.sample())[0]
goals = [*observation["goal"]["text"], *after["goal"]["text"]]
print(["cube" in text or "block" in text for text in goals], info["seed"].tolist())
envs.close()
"""
    assert output_of(code) == "[True, True, True, True] [1, 2]\n"


def test_a_process_that_was_forked_after_a_frame_says_so_instead_of_waiting_forever():
    code = """
import gymnasium, robot.envs
gymnasium.make("robot/lift-v0", image_size=16).reset(seed=0)
envs = gymnasium.make_vec("robot/lift-v0", num_envs=1, vectorization_mode="async", image_size=16)
try:
    envs.reset(seed=0)
except Exception as error:
    print(error)
envs.close(terminate=True)
"""
    assert 'vector_kwargs={"context": "spawn"}' in output_of(code)


def output_of(code: str) -> str:
    """Return what a process of its own prints."""
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=here
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("task", [*TASKS, *NATIVE])
def test_gymnasium_knows_how_long_an_episode_of_every_task_may_take(task):
    assert gymnasium.spec(gym_id(task)).max_episode_steps == make_task(task).horizon


def test_a_limit_of_gymnasium_takes_the_place_of_the_tasks_own():
    env = gymnasium.make("robot/lift-v0", image_size=16, max_episode_steps=101)
    assert env.spec is not None and env.spec.max_episode_steps == 101
    env.reset(seed=0)
    ends = [env.step(STILL)[3] for _ in range(101)]
    env.close()
    assert ends == [False] * 100 + [True]  # lift's own horizon is 100


def test_a_horizon_beyond_gymnasiums_limit_is_rejected():
    with pytest.raises(InputError, match="got horizon=101 .*pass max_episode_steps=101 instead"):
        gymnasium.make("robot/lift-v0", image_size=16, horizon=101)


def test_a_step_before_the_first_reset_is_one_clear_error(env):
    env._steps = None  # as it is after construction
    for act in (lambda: env.step(STILL), env.render):
        with pytest.raises(gymnasium.error.ResetNeeded, match="expected env.reset"):
            act()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": "clean"}, r"got reset options \['scenes'\], expected some of"),
        ({"episode": -1}, "got episode -1, expected 0 or more"),
    ],
)
def test_a_reset_option_that_is_wrong_is_rejected(env, options, message):
    with pytest.raises(InputError, match=message):
        env.reset(seed=0, options=options)


@pytest.mark.parametrize("mode", ["human", "ansi"])
def test_a_render_mode_that_is_not_there_is_rejected(mode):
    with pytest.raises(InputError, match=f"got render_mode='{mode}', expected rgb_array"):
        RobosuiteEnv(task="lift", render_mode=mode)


def test_videos_play_as_fast_as_the_env_runs():
    env = RobosuiteEnv(task="lift", image_size=16, control_dt_s=0.1)
    assert env.metadata["render_fps"] == 10
    env.close()


def test_an_observation_fits_the_types_of_the_agent(env):
    observation = Observation.from_env(begin(env), env.spaces)
    assert [frame.camera for frame in observation.frames] == ["agentview", "wrist"]
    assert observation.proprio.shape == (10,) == (len(env.spaces.state),)
    assert observation.goal.text == env.goal


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"image_size": 8}, "got image_size=8, expected 16 to 1024"),
        ({"control_dt_s": 0.0}, "got control_dt_s=0.0, expected seconds above 0"),
        ({"horizon": 0}, "got horizon=0, expected a number of control steps"),
        ({"imagesize": 64}, "got imagesize=64 for an env, expected one of .* mean image_size"),
    ],
)
def test_an_impossible_option_is_refused(option, says):
    with pytest.raises(InputError, match=says):
        gymnasium.make("robot/pick-v0", **option)


def test_many_actions_are_for_execute_and_one_for_step(env):
    begin(env)
    with pytest.raises(InputError, match=r"action of shape \(8, 7\).* call env.execute"):
        env.step(np.zeros((8, 7), np.float32))
    with pytest.raises(InputError, match=r"actions of shape \(7,\), expected \(T, 7\)"):
        inspect.unwrap(type(env).advance)(env, np.zeros(7, np.float32))


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="got task 'fold', expected one of pick, pick_related"):
        RobosuiteEnv(task="fold")


# --- pictures


@pytest.mark.parametrize("camera", ["agentview", "wrist"])
def test_target_pixels_lie_where_the_target_is(env, camera):
    checked = 0
    for episode in range(6):
        begin(env, episode=episode)
        found = pixels(env.label_maps()[camera], Label.TARGET)
        if len(found) >= 20:
            where = project(env, camera, target_of(env))
            assert (found.min(axis=0) - 1 < where).all() and (where < found.max(axis=0) + 1).all()
            checked += 1
    assert checked >= 3


def test_what_is_lifted_moves_up_in_the_picture(env):
    begin(env, episode=1)
    low = pixels(env.label_maps()["agentview"], Label.TARGET)[:, 1].mean()
    env.data.qpos[env.sim.bodies[env.task.scene.target].qpos_address + 2] += 0.05
    mujoco.mj_forward(env.model, env.data)
    assert pixels(env.label_maps()["agentview"], Label.TARGET)[:, 1].mean() < low - 1


def test_target_pixels_have_the_colour_that_the_goal_names(env):
    for episode in range(8):
        shown = begin(env, episode=episode)
        noun = env.task.scene.target_noun
        if noun.colour in ("red", "green", "blue"):
            at_target = shown["images"]["agentview"][env.label_maps()["agentview"] == Label.TARGET]
            assert at_target.mean(axis=0).argmax() == ("red", "green", "blue").index(noun.colour)


def test_the_robots_hand_is_labelled_in_both_cameras(env):
    begin(env)
    for camera, labels in env.label_maps().items():
        assert (labels == Label.GRIPPER).sum() >= 20, camera


def test_a_destination_is_labelled_where_it_is(env):
    env.switch_task("place")
    begin(env, episode=2)
    found = pixels(env.label_maps()["agentview"], Label.DESTINATION)
    where = project(env, "agentview", env.sim.position(env.task.scene.destination))
    assert (found.min(axis=0) - 1 < where).all() and (where < found.max(axis=0) + 1).all()


def test_one_render_labels_for_any_goal(env):
    begin(env, episode=3, scene="distract")
    own = env.task.roles(env.sim)
    other = next(p.body for p in env.task.scene.placements if p.body != env.task.scene.target)
    as_before, renamed = env.label_maps_for([own, {env.sim.root_body(other): Label.TARGET}])
    for camera, labels in env.label_maps().items():
        np.testing.assert_array_equal(as_before[camera], labels)
        instance = env.instance_maps()[camera]
        np.testing.assert_array_equal(
            renamed[camera] == Label.TARGET, instance == env.sim.bodies[other].body_id
        )


def test_another_object_is_shown_as_the_target_of_a_wrong_mask(env):
    begin(env, episode=0)
    others = [p.body for p in env.task.scene.placements if p.body != env.task.scene.target]
    for camera, labels in env.other_object_maps().items():
        instance = env.instance_maps()[camera]
        np.testing.assert_array_equal(
            labels == Label.TARGET, instance == env.sim.bodies[others[0]].body_id
        )


def test_depth_at_the_target_is_its_distance_along_the_optical_axis(env):
    begin(env, episode=0)
    _, T_world_camera = env.camera_matrices("agentview")
    distance = (np.linalg.inv(T_world_camera) @ [*target_of(env), 1.0])[2]
    there = env.label_maps()["agentview"] == Label.TARGET
    np.testing.assert_allclose(np.median(env.depth("agentview")[there]), distance, atol=0.05)


def test_segmentation_is_in_the_info_when_asked_for(env, monkeypatch):
    monkeypatch.setattr(env, "segmentation", True)
    _, info = env.reset(seed=0)
    assert {
        camera: labels.shape for camera, labels in info["segmentation"].items()
    } == dict.fromkeys(env.cameras, (SIZE, SIZE))


def test_objects_are_where_the_scene_puts_them(env):
    begin(env, episode=5, scene="distract")
    states = env.object_states()
    for placement in env.task.scene.placements:
        np.testing.assert_allclose(
            states[env.sim.root_body(placement.body)][:2], [placement.x, placement.y], atol=1e-9
        )


# --- actions and proprioception


def test_scaling_an_action_is_undone_by_its_inverse(env):
    for action in env.action_space.sample(), env.action_space.low, env.action_space.high:
        scaled = env.to_robosuite(action)
        assert (np.abs(scaled) <= 1.0 + 1e-6).all()
        back = np.concatenate(
            [scaled[:3] * MAX_DELTA_M, scaled[3:6] * MAX_DELTA_RAD, [(1.0 - scaled[6]) / 2]]
        )
        np.testing.assert_allclose(back, action, atol=1e-6)


def test_a_full_opening_is_robosuites_minus_one_and_one_centimetre_a_fifth():
    env = object.__new__(RobosuiteEnv)
    env.action_space = make_action_space()
    np.testing.assert_allclose(
        env.to_robosuite(np.array([0.01, 0, 0, 0, 0, 0.25, 1.0])), [0.2, 0, 0, 0, 0, 0.5, -1.0]
    )


def make_action_space():
    from robot.envs.env import action_space

    return action_space(arm_spaces().action)


def test_actions_beyond_the_limits_are_clipped(env):
    np.testing.assert_allclose(env.to_robosuite(np.full(7, 9.0)), [1, 1, 1, 1, 1, 1, -1], atol=1e-6)


@pytest.mark.parametrize("action", [np.full(7, np.nan), np.zeros(6)])
def test_an_action_that_is_no_action_is_refused(env, action):
    with pytest.raises(InputError, match="expected 7 finite numbers"):
        env.to_robosuite(action)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_action_moves_the_hand_along_its_axis_of_the_base(env, axis):
    before = begin(env)["proprio"]["ee_position"]
    action = STILL.copy()
    action[axis] = 0.02
    moved = env.execute(np.repeat(action[None], 8, axis=0))[0]["proprio"]["ee_position"] - before
    assert (
        0.02 < moved[axis] < 0.18
    )  # OSC aims from where the hand is, and reaches a fifth of 16 cm in 0.4 s
    assert np.abs(np.delete(moved, axis)).max() < 0.02


def test_proprioception_is_the_hand_in_the_base_frame(env):
    shown = begin(env, episode=1)["proprio"]
    base, hand = env.data.body("robot0_base"), env.data.site("gripper0_right_grip_site")
    T_world_base, T_world_hand = np.eye(4), np.eye(4)
    T_world_base[:3, :3], T_world_base[:3, 3] = base.xmat.reshape(3, 3), base.xpos
    T_world_hand[:3, :3], T_world_hand[:3, 3] = hand.xmat.reshape(3, 3), hand.xpos
    T_base_hand = np.linalg.inv(T_world_base) @ T_world_hand
    np.testing.assert_allclose(shown["ee_position"], T_base_hand[:3, 3], atol=1e-5)
    np.testing.assert_allclose(
        shown["ee_rotation"], [*T_base_hand[:3, 0], *T_base_hand[:3, 1]], atol=1e-5
    )
    assert (
        0.3 < shown["ee_position"][0] < 0.7 and abs(shown["ee_position"][1]) < 0.1
    )  # in front of the robot


def test_the_gripper_reads_one_when_open_and_zero_when_closed(env):
    begin(env)
    closed = STILL.copy()
    closed[6] = 0.0
    assert env.execute(np.repeat(STILL[None], 15, axis=0))[0]["proprio"]["gripper"] > 0.95
    assert env.execute(np.repeat(closed[None], 15, axis=0))[0]["proprio"]["gripper"] < 0.05
    assert PANDA_HAND.stroke_m == 0.08


# --- the end of an episode


def test_execute_stops_when_success_has_held(env, monkeypatch):
    begin(env)
    monkeypatch.setattr(env.task, "success", lambda sim: True)
    _, reward, terminated, truncated, info = env.execute(np.repeat(STILL[None], 10, axis=0))
    assert (info["steps"], info["success"], reward, terminated, truncated) == (
        SUCCESS_STEPS,
        True,
        1.0,
        True,
        False,
    )


def test_a_success_that_does_not_last_is_none(env, monkeypatch):
    begin(env)
    verdicts = iter([True, True, False, True, True, False])
    monkeypatch.setattr(env.task, "success", lambda sim: next(verdicts))
    _, reward, terminated, _, info = env.execute(np.repeat(STILL[None], 6, axis=0))
    assert (info["steps"], reward, terminated) == (6, 0.0, False)


def test_execute_stops_at_the_horizon(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 4)
    begin(env)
    _, _, terminated, truncated, info = env.execute(np.repeat(STILL[None], 10, axis=0))
    assert (info["steps"], terminated, truncated) == (4, False, True)


# --- repeatability


@pytest.mark.parametrize("scene", ["clean", "everything"])
def test_an_episode_repeats_after_others_were_played(env, scene):
    actions = np.random.default_rng(0).uniform(-0.03, 0.03, (6, 7)).astype(np.float32)
    begin(env, seed=2, episode=7, scene=scene)
    first = seen(env)
    env.execute(actions)
    then = seen(env)
    for other in ("randomised", "strangers", "background", "lighting", "camera", "start", "absent"):
        begin(env, seed=3, episode=1, scene=other)
        env.execute(-actions)
    begin(env, seed=2, episode=7, scene=scene)
    assert_same(
        seen(env) if scene == "clean" else first, first
    )  # `seen` has drawn from the noisy sensor once
    begin(env, seed=2, episode=7, scene=scene)
    assert_same(seen(env), first)
    env.execute(actions)
    assert_same(seen(env), then)


def test_a_switched_task_shows_what_a_fresh_env_would(env):
    env.switch_task("duck_in_pot")
    begin(env, episode=3)
    scene = env.task.scene
    assert env.horizon == env.task.horizon
    assert cat.body_names()[scene.target] == "duck" and cat.body_names()[scene.destination] == "pot"


def test_switching_to_another_world_is_refused(env):
    with pytest.raises(InputError, match="got task 'lift' in the world of 'pick'"):
        env.switch_task("lift")


@pytest.mark.parametrize(
    "scene", ["noise", "lighting", "background", "camera", "start", "distract", "wording"]
)
def test_a_condition_changes_what_is_seen_or_said(env, scene):
    clean, other = begin(env, episode=2), begin(env, episode=2, scene=scene)
    same_words = clean["goal"]["text"] == other["goal"]["text"]
    same_frame = np.array_equal(clean["images"]["agentview"], other["images"]["agentview"])
    assert (
        (not same_words and same_frame) if scene == "wording" else (same_words and not same_frame)
    )


@pytest.mark.parametrize("task", BUILTIN)
def test_robosuites_own_tasks_show_their_target_and_repeat(task):
    env = make(task)
    begin(env, episode=3)
    first = seen(env)
    assert all((labels == Label.GRIPPER).any() for labels in env.label_maps().values())
    assert sum((labels == Label.TARGET).sum() for labels in env.label_maps().values()) >= 6
    begin(env, episode=4)
    env.execute(np.repeat(STILL[None], 3, axis=0))
    begin(env, episode=3)
    assert_same(seen(env), first)
    env.close()
