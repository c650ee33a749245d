"""MujocoEnv: the tabletop without robosuite, beside RobosuiteEnv where the two must agree."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest

from robot.envs.make import EnvOptions, make_env
from robot.envs.mujoco import MujocoEnv
from robot.envs.mujoco_scene import ASSET, read_asset
from robot.envs.registry import TABLETOP
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop.scene import sample_scene
from robot.envs.tabletop.staging import stage
from robot.envs.tabletop.world import TABLE_TOP_M
from robot.types import InputError, Label

SIZE = 64
STILL = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


@pytest.fixture(scope="module")
def made():
    env = MujocoEnv(task="pick", image_size=SIZE)
    yield env
    env.close()


@pytest.fixture
def env(made):
    made.switch_task("pick")
    return made


@pytest.fixture(scope="module")
def robosuite():
    env = RobosuiteEnv(task="pick", image_size=SIZE)
    yield env
    env.close()


def begin(env: Any, *, seed: int = 0, episode: int = 0, scene: str = "clean") -> dict[str, Any]:
    return env.reset(seed=seed, options={"episode": episode, "scene": scene})[0]


def succeeds(env: MujocoEnv, *, episode: int, scene: str = "clean") -> bool:
    begin(env, episode=episode, scene=scene)
    expert = env.expert(rng=np.random.default_rng([0, episode]))
    done = success = False
    while not done:
        success, truncated = env.advance(expert.act()[None])
        done = success or truncated
    return success


# --- the same as robosuite's


def test_its_spaces_are_those_of_robosuites_panda(env, robosuite):
    assert env.spaces == robosuite.spaces
    assert env.observation_space == robosuite.observation_space
    assert env.action_space == robosuite.action_space


@pytest.mark.parametrize("task", TABLETOP)
def test_every_tabletop_task_begins_as_on_robosuite(env, robosuite, task):
    for one in (env, robosuite):
        one.switch_task(task)
        begin(one, seed=3, episode=2, scene="distract")
    assert env.goal == robosuite.goal
    assert env.horizon == robosuite.horizon
    theirs = robosuite.object_states()
    for name, state in env.object_states().items():
        np.testing.assert_allclose(state, theirs[name], atol=1e-9, err_msg=name)
    robosuite.switch_task("pick")


@pytest.mark.parametrize("scene", ["clean", "everything"])
def test_its_pictures_are_those_of_robosuite(env, robosuite, scene):
    ours = begin(env, episode=4, scene=scene)["images"]
    theirs = begin(robosuite, episode=4, scene=scene)["images"]
    for camera in env.cameras:
        difference = np.abs(ours[camera].astype(int) - theirs[camera])
        assert difference.mean() < 4.0, camera  # of 255: textures are smaller
        assert (difference.max(axis=-1) > 40).mean() < 0.03, camera


def test_the_hand_reads_and_reaches_what_it_does_on_robosuite(env, robosuite):
    actions = np.tile([0.02, -0.01, -0.015, 0.02, 0.03, -0.05, 0.0], (20, 1)).astype(np.float32)
    shown = []
    for one in (env, robosuite):
        before = begin(one, episode=1)["proprio"]
        after = one.execute(actions)[0]["proprio"]
        shown.append(
            {
                f"{when} {name}": value
                for when, p in (("before", before), ("after", after))
                for name, value in p.items()
            }
        )
    for name, value in shown[0].items():
        tolerance = 1e-3 if name.startswith("before") else 0.015
        np.testing.assert_allclose(value, shown[1][name], atol=tolerance, err_msg=name)


def test_fingers_move_as_fast_as_on_robosuite(env, robosuite):
    close = np.tile([0, 0, 0, 0, 0, 0, 0.0], (1, 1)).astype(np.float32)
    openings = []
    for one in (env, robosuite):
        begin(one)
        openings.append([float(one.execute(close)[0]["proprio"]["gripper"][0]) for _ in range(8)])
    np.testing.assert_allclose(*openings, atol=0.03)


# --- what an env must show


@pytest.mark.parametrize(("task", "episode"), [("pick", 0), ("pick", 1), ("place", 0)])
def test_the_expert_succeeds(env, task, episode):
    env.switch_task(task)
    assert succeeds(env, episode=episode)


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["clean", "distract", "everything"])
@pytest.mark.parametrize("task", ["pick", "place", "place_any"])
def test_the_expert_succeeds_in_nearly_every_episode(env, task, scene):
    env.switch_task(task)
    assert sum(succeeds(env, episode=episode, scene=scene) for episode in range(20)) >= 18


@pytest.mark.parametrize("camera", ["agentview", "wrist"])
def test_a_projected_target_lies_within_its_label_map(env, camera):
    checked = 0
    for episode in range(6):
        begin(env, episode=episode)
        rows, columns = np.nonzero(env.label_maps()[camera] == Label.TARGET)
        if len(rows) < 20:
            continue
        middle = env.sim.position(env.task.scene.target) + [0, 0, 0.02]
        intrinsics, T_world_camera = env.camera_matrices(camera)
        u, v, w = intrinsics @ (np.linalg.inv(T_world_camera) @ [*middle, 1.0])[:3]
        assert columns.min() - 1 < u / w < columns.max() + 2
        assert rows.min() - 1 < v / w < rows.max() + 2
        checked += 1
    assert checked >= 3


def test_label_maps_agree_with_the_picture(env):
    """What the goal calls red, green or blue is that where the label map says so."""
    checked = 0
    for episode in range(8):
        shown = begin(env, episode=episode)["images"]["agentview"]
        colour = env.task.scene.target_noun.colour
        if colour in ("red", "green", "blue"):
            target = shown[env.label_maps()["agentview"] == Label.TARGET]
            assert target.mean(axis=0).argmax() == ("red", "green", "blue").index(colour)
            checked += 1
    assert checked >= 3


def test_pictures_are_upright(env):
    begin(env, episode=1)
    low = np.nonzero(env.label_maps()["agentview"] == Label.TARGET)[0].mean()
    env.data.qpos[env.sim.bodies[env.task.scene.target].qpos_address + 2] += 0.05
    mujoco.mj_forward(env.model, env.data)
    assert np.nonzero(env.label_maps()["agentview"] == Label.TARGET)[0].mean() < low - 1


@pytest.mark.parametrize("scene", ["clean", "everything"])
def test_an_episode_repeats_bit_by_bit_after_others(env, scene):
    actions = np.random.default_rng(0).uniform(-0.03, 0.03, (6, 7)).astype(np.float32)

    def played() -> list[np.ndarray]:
        first = begin(env, seed=2, episode=7, scene=scene)
        then = env.execute(actions)[0]
        images = [shown["images"][camera] for shown in (first, then) for camera in env.cameras]
        return [*images, env.data.qpos.copy(), env.data.qvel.copy()]

    once = played()
    for other in ("randomised", "background", "absent"):
        begin(env, seed=3, episode=1, scene=other)
        env.execute(-actions)
    for a, b in zip(once, played(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fresh_env_shows_the_same_episode(env):
    fresh = MujocoEnv(task="pick", image_size=SIZE)
    action = np.tile([0.03, 0, 0, 0, 0, 0, 0], (5, 1)).astype(np.float32)
    for one in (env, fresh):
        begin(one, seed=5, episode=3)
        one.execute(action)
    np.testing.assert_array_equal(env.data.qpos, fresh.data.qpos)
    fresh.close()


def test_staged_looks_show_what_they_do_on_robosuite(env, robosuite):
    for one in (env, robosuite):
        begin(one)
        scene = sample_scene(task="pick", scene="randomised", seed=1, index=5)
        stage(one.sim, scene=scene, rng=np.random.default_rng(4))
    ours, theirs = (one.observe()["images"]["agentview"].astype(int) for one in (env, robosuite))
    assert np.abs(ours - theirs).mean() < 4.0


# --- sleep


def test_parked_bodies_sleep_and_placed_ones_are_awake_at_first(env):
    begin(env, scene="distract")
    placed = {p.body for p in env.task.scene.placements}
    for name, ref in env.sim.bodies.items():
        asleep = env.data.tree_asleep[env.model.body_treeid[ref.body_id]] >= 0
        assert asleep == (name not in placed), name


def test_an_object_that_is_let_go_falls(env):
    """What rests may be left out of the physics; what is lifted and let go must not."""
    succeeds(env, episode=0)
    target = env.task.scene.target
    lifted = env.sim.position(target)[2]
    for _ in range(20):
        env.move(STILL)
    assert lifted > TABLE_TOP_M + 0.05 > env.sim.position(target)[2]


# --- what it cannot show


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("lift", {}, "got task 'lift' with env=mujoco, expected a tabletop task"),
        ("pick", {"robot": "UR5e"}, "got env.robot=UR5e with env=mujoco, expected Panda"),
        ("pick", {"mesh_faces": 100}, "got env.mesh_faces=100 with env=mujoco"),
    ],
)
def test_what_only_robosuite_has_is_one_clear_error(task, changes, message):
    with pytest.raises(InputError, match=message):
        make_env(task, replace(EnvOptions(backend="mujoco"), **changes))


# --- the shipped scene


def test_the_shipped_scene_is_small_and_says_its_licence():
    assert ASSET.stat().st_size < 1.5e6
    assert "MIT License" in ASSET.with_name("LICENSE").read_text()


def test_the_shipped_scene_names_only_files_that_it_has():
    root, files = read_asset()
    named = {e.get("file") for tag in ("mesh", "texture") for e in root.iter(tag) if e.get("file")}
    assert named and named <= set(files)


def test_it_runs_without_robosuite():
    code = """
import sys
sys.modules["robosuite"] = None  # importing it raises
from robot.envs.make import EnvOptions, make_env
env = make_env("pick", EnvOptions(backend="mujoco", image_size=16))
env.reset(seed=0)
expert = env.expert(rng=__import__("numpy").random.default_rng(0))
print(env.step(expert.act())[4]["steps"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ASSET.parents[3],
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
