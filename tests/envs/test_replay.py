"""ReplayEnv: a recording behind the env API."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from robot.envs.replay import ReplayEnv
from robot.types import InputError, Observation
from tests.experiment.toy import SPACES, episode

STEPS = 6


def replayed(*indices: int, **changes) -> ReplayEnv:
    recorded = {index: replace(episode(index, steps=STEPS), **changes) for index in indices}
    return ReplayEnv(spaces=SPACES, indices=list(indices), read=recorded.__getitem__)


def test_a_reset_names_the_episode_and_later_ones_move_one_on():
    env = replayed(3, 5)
    named = [env.reset(options={"episode": 5})[1]["episode"]]
    named += [env.reset()[1]["episode"] for _ in range(2)]
    assert named == [5, 3, 5]


def test_every_step_shows_the_next_recorded_observation_whatever_the_action():
    env, recorded = replayed(0), episode(0, steps=STEPS)
    shown = [env.reset()[0]]
    for k in range(STEPS):
        shown.append(env.step(np.full(7, 9.0 * k, np.float32))[0])
    for k in range(STEPS):
        np.testing.assert_array_equal(shown[k]["images"]["wrist"], recorded.images["wrist"][k])
        state = Observation.from_env(shown[k], env.spaces).proprio
        np.testing.assert_array_equal(state, recorded.proprio[k])
        assert shown[k]["time"]["proprio"][0] == pytest.approx(k * 0.05)
    np.testing.assert_array_equal(shown[-1]["images"]["wrist"], recorded.images["wrist"][-1])


def test_info_carries_the_recorded_action_and_the_error():
    env, recorded = replayed(0), episode(0, steps=STEPS)
    env.reset()
    info = env.step(recorded.actions[0] + np.float32(0.01))[4]
    np.testing.assert_array_equal(info["recorded_action"], recorded.actions[0])
    np.testing.assert_allclose(info["action_error"], np.full(7, 0.01), atol=1e-6)


@pytest.mark.parametrize("success", [True, False])
def test_the_recording_ends_as_it_was_recorded(success):
    env = replayed(0, success=success)
    env.reset()
    steps = [env.step(np.zeros(7, np.float32)) for _ in range(STEPS)]
    assert [(reward, end, cut) for _, reward, end, cut, _ in steps[:-1]] == [
        (0.0, False, False)
    ] * (STEPS - 1)
    assert steps[-1][1:4] == (float(success), success, not success)
    with pytest.raises(gymnasium.error.ResetNeeded, match="after the end of the recording"):
        env.step(np.zeros(7, np.float32))


def test_an_observation_lies_in_the_space_that_is_declared():
    env = replayed(0)
    assert env.observation_space.contains(env.reset()[0])


def test_label_maps_are_the_recorded_ones_of_the_step_that_is_shown():
    env, recorded = replayed(1), episode(1, steps=STEPS)
    env.reset()
    env.step(np.zeros(7, np.float32))
    np.testing.assert_array_equal(env.label_maps()["agentview"], recorded.labels["agentview"][1])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda env: env.reset(options={"episode": 4}), "got episode 4, expected one .*: 0, 2"),
        (lambda env: env.step(np.zeros(6)), "expected 7 finite numbers: delta_x"),
        (lambda env: env.step(np.full(7, np.nan)), "expected 7 finite numbers"),
    ],
)
def test_what_was_not_recorded_is_one_clear_error(act, message):
    env = replayed(0, 2)
    env.reset()
    with pytest.raises(InputError, match=message):
        act(env)


def test_a_recording_without_label_maps_says_so():
    env = replayed(0, labels={})
    env.reset()
    with pytest.raises(InputError, match="without label maps of agentview, wrist"):
        env.label_maps()


def test_a_step_before_the_first_reset_is_one_clear_error():
    with pytest.raises(gymnasium.error.ResetNeeded, match="expected env.reset"):
        replayed(0).step(np.zeros(7, np.float32))
