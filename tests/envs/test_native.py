"""robosuite's tasks by their own names: NutAssemblySquare stands for all that share the code."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import robot.envs  # noqa: F401  (registers the envs)
from robot.envs.builtin.native import NativeTask, natives, registered
from robot.envs.registry import NATIVE, TASKS, check_scene, make_task
from robot.envs.robosuite import RobosuiteEnv
from robot.experiment.collect import collect_demonstrations
from robot.types import InputError, Label


@pytest.fixture(scope="module")
def env():
    env = RobosuiteEnv(task="NutAssemblySquare", image_size=48)
    yield env
    env.close()


def test_the_names_are_those_of_robosuite_for_one_arm():
    assert set(NATIVE) == {name for name, single in registered().items() if single}


def test_every_name_has_an_entry():
    assert set(natives()) == set(NATIVE)


def test_the_held_out_sentence_is_never_drawn_in_training():
    task, rng = NativeTask(name="NutAssemblySquare"), np.random.default_rng(0)
    seen = {task.wording(rng=rng, held_out=False) for _ in range(50)}
    assert task.wording(rng=rng, held_out=True) not in seen and len(seen) == 3


def test_a_task_for_two_arms_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="TwoArmLift.*two arms"):
        make_task("TwoArmLift")


def test_an_unknown_task_names_the_choices():
    with pytest.raises(InputError, match="NutAssemblySquare"):
        make_task("NutAssemblyTriangle")


def test_scenes_are_those_of_the_builtin_tasks():
    for scene in ("clean", "start", "noise", "wording"):
        check_scene("NutAssemblySquare", scene)
    with pytest.raises(InputError, match="distract"):
        check_scene("NutAssemblySquare", "distract")


def test_gymnasium_finds_nothing_to_complain_about():
    env = gymnasium.make("robot/NutAssemblySquare-v0", image_size=32)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_nut_and_peg_are_labelled(env):
    env.reset(seed=0)
    labels = env.label_maps()["agentview"]
    assert {Label.TARGET, Label.DESTINATION, Label.GRIPPER} <= set(np.unique(labels))


def test_an_episode_begins_as_its_seed_says(env):
    first, _ = env.reset(seed=3)
    env.step(env.action_space.sample())
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first["images"]["agentview"], again["images"]["agentview"])


def test_another_episode_begins_elsewhere(env):
    env.reset(seed=3)
    first = env.object_states()["SquareNut_main"]
    env.reset()
    assert np.abs(env.object_states()["SquareNut_main"] - first).max() > 1e-3


def test_robosuite_decides_about_success(env):
    env.reset(seed=0)
    peg = env.data.body("peg1").xpos
    nut = env.model.body("SquareNut_main")
    address = env.model.jnt_qposadr[env.model.body_jntadr[nut.id]]
    env.data.qpos[address : address + 3] = [peg[0], peg[1], env.sim.table_offset[2] + 0.03]
    env.sim.sim.forward()
    assert env.task.success(env.sim)


def test_there_is_no_expert(env):
    env.reset(seed=0)
    with pytest.raises(InputError, match="no scripted expert for NutAssemblySquare; record"):
        env.expert(rng=np.random.default_rng(0))


def test_collection_ends_before_it_begins(tmp_path):
    with pytest.raises(InputError, match="no scripted expert for NutAssemblySquare"):
        collect_demonstrations(
            root=tmp_path,
            task="NutAssemblySquare",
            scene="clean",
            episodes=1,
            seed=0,
            image_size=32,
            workers=1,
            progress=lambda done, of: None,
        )


def test_a_sentence_of_ones_own_replaces_the_goal():
    env = RobosuiteEnv(task="NutAssemblyRound", goal="thread the ring", image_size=32)
    assert env.reset(seed=0)[0]["goal"]["text"] == "thread the ring"
    env.close()


def test_a_hand_without_fingers_wipes():
    env = RobosuiteEnv(task="Wipe", image_size=48)
    observation, _ = env.reset(seed=0)
    env.step(env.action_space.sample())
    assert observation["proprio"]["gripper"] == 0.0
    assert (env.label_maps()["agentview"] == Label.TARGET).any()
    env.close()


def test_native_names_are_no_names_of_ours():
    assert not set(NATIVE) & set(TASKS)
