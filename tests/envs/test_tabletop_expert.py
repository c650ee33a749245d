"""The scripted expert of the tabletop: it succeeds, it comes back after a slip, it waits where
there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop.world import TABLE_TOP_M


@pytest.fixture(scope="module")
def env():
    env = RobosuiteEnv(task="pick", image_size=32)
    yield env
    env.close()


def begin(env: RobosuiteEnv, *, task: str, index: int, scene: str = "clean") -> None:
    env.switch_task(task)
    env.reset(seed=11, options={"episode": index, "scene": scene})


def play(env: RobosuiteEnv, *, until: Callable[[], bool] = lambda: False) -> bool:
    """Let an expert act without looking; return whether it succeeded before the horizon, or before
    `until` says stop.
    """
    expert = env.expert(rng=np.random.default_rng(0))
    while not until():
        success, truncated = env.advance(np.asarray(expert.act())[None])
        if success or truncated:
            return success
    return False


def knock_away(env: RobosuiteEnv, *, to: tuple[float, float]) -> None:
    """Put the target elsewhere on the table, as a collision would."""
    ref = env.sim.bodies[env.task.scene.target]
    env.data.qpos[ref.qpos_address : ref.qpos_address + 7] = (*to, TABLE_TOP_M + 0.001, 1, 0, 0, 0)
    env.data.qvel[ref.dof_address : ref.dof_address + 6] = 0.0
    env.sim.sim.forward()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_expert_picks(env, index):
    begin(env, task="pick", index=index)
    assert play(env)


@pytest.mark.parametrize("index", [0, 1])
def test_the_expert_picks_among_distractors(env, index):
    begin(env, task="pick", index=index, scene="distract")
    assert play(env)


@pytest.mark.parametrize("task", ["red_cup_on_red_plate", "duck_in_pot"])
def test_the_expert_places(env, task):
    begin(env, task=task, index=1)
    assert play(env)


def test_the_expert_tries_again_when_the_object_is_knocked_out_of_the_fingers(env):
    begin(env, task="pick", index=0)
    target = env.task.scene.target
    expert = env.expert(rng=np.random.default_rng(0))
    knocked = False
    for _ in range(env.horizon):
        success, _ = env.advance(np.asarray(expert.act())[None])
        if not knocked and env.sim.position(target)[2] > TABLE_TOP_M + 0.03:
            knock_away(env, to=(-0.05, 0.12))
            knocked = True
        if success:
            break
    assert knocked and success


def test_a_demonstration_stays_within_the_limits_of_the_action_space(env):
    begin(env, task="pick", index=4)
    expert = env.expert(rng=np.random.default_rng(0))
    for _ in range(30):
        action = np.asarray(expert.act(), dtype=np.float32)
        assert env.action_space.contains(action), action
        env.advance(action[None])


def test_the_expert_waits_with_an_open_gripper_when_the_object_is_absent(env):
    begin(env, task="pick", index=0, scene="absent")
    expert = env.expert(rng=np.random.default_rng(0))
    actions = []
    for _ in range(40):
        actions.append(np.asarray(expert.act()))
        assert env.advance(actions[-1][None]) == (False, False)
    assert all(action[6] == 1.0 for action in actions)
    assert np.abs(actions[-1][:3]).max() < 0.005  # it has arrived where it waits


def test_experts_vary_in_speed_and_height(env):
    begin(env, task="pick", index=0)
    drawn = [env.expert(rng=np.random.default_rng(k)).act()[:3] for k in range(4)]
    assert len({round(float(np.linalg.norm(delta)), 4) for delta in drawn}) == 4
