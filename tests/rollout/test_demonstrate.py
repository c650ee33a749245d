"""What is recorded of an expert."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.store import EpisodeStore
from robot.envs.tabletop import expert
from robot.rollout import demonstrate
from robot.types import InputError, Label


@pytest.fixture(scope="module", autouse=True)
def _from_home():
    """Let demonstrations begin at home, unless a test says otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expert, "ASTRAY_SHARE", 0.0)
        yield


@pytest.fixture(scope="module")
def recorded(pick_env, _from_home):
    """A demonstration, with what the expert intended and what the env was told to execute."""
    intended, executed = [], []
    step, make_expert = pick_env.step, pick_env.expert

    def spying_expert(*, rng):
        one = make_expert(rng=rng)
        act = one.act
        one.act = lambda: intended.append(act()) or intended[-1]
        return one

    with pytest.MonkeyPatch.context() as patch:
        pick_env.switch_task("pick")
        patch.setattr(pick_env, "step", lambda action: executed.append(action) or step(action))
        patch.setattr(pick_env, "expert", spying_expert)
        episode = demonstrate.demonstrate(pick_env, seed=1, index=3, scene="clean")
    assert episode is not None
    return episode, np.stack(intended)[-len(episode) :], np.stack(executed)[-len(episode) :]


def test_what_is_recorded_is_what_the_expert_intended(recorded):
    episode, intended, _ = recorded
    np.testing.assert_array_equal(episode.actions, intended)


def test_what_is_executed_is_pushed_off_course_in_position_only(recorded):
    episode, _, executed = recorded
    pushed = np.abs(executed[:, :3] - episode.actions[:, :3])
    assert (pushed > 0).all() and 0.001 < pushed.mean() < 0.02
    np.testing.assert_array_equal(executed[:, 3:], episode.actions[:, 3:])


def test_a_demonstration_is_a_success_of_one_length_throughout(recorded):
    episode, _, _ = recorded
    assert episode.success and len(episode) > 10
    lengths = {
        len(part)
        for part in (
            *episode.images.values(),
            *episode.labels.values(),
            episode.proprio,
            episode.actions,
        )
    }
    assert lengths == {len(episode)}
    assert list(episode.images) == list(episode.labels) == ["agentview", "wrist"]


def test_a_frame_is_what_was_seen_before_its_action(recorded, env):
    episode, _, _ = recorded
    observation, _ = env.reset(seed=1, options={"episode": 3, "scene": "clean"})
    np.testing.assert_array_equal(
        episode.images["agentview"][0], observation["images"]["agentview"]
    )
    np.testing.assert_array_equal(episode.labels["agentview"][0], env.label_maps()["agentview"])
    assert episode.goal.text == env.goal
    assert (episode.labels["agentview"][0] == Label.TARGET).any()


def test_a_demonstration_is_a_function_of_its_episode(recorded, env):
    again = demonstrate.demonstrate(env, seed=1, index=3, scene="clean")
    assert again is not None
    np.testing.assert_array_equal(again.actions, recorded[0].actions)
    np.testing.assert_array_equal(again.images["wrist"], recorded[0].images["wrist"])


def test_a_demonstration_from_a_perturbed_start_begins_where_that_leads(env, monkeypatch):
    monkeypatch.setattr(expert, "ASTRAY_SHARE", 1.0)
    episode = demonstrate.demonstrate(env, seed=1, index=3, scene="clean")
    observation, _ = env.reset(seed=1, options={"episode": 3, "scene": "clean"})
    assert episode is not None and episode.success
    assert np.linalg.norm(episode.proprio[0, :3] - observation["proprio"]["ee_position"]) > 0.05


def test_a_hopeless_episode_is_given_up_after_every_try(env, monkeypatch):
    tries = []
    attempt = demonstrate.attempt
    monkeypatch.setattr(
        demonstrate,
        "attempt",
        lambda *args, rng, **how: tries.append(rng) or attempt(*args, rng=rng, **how),
    )
    monkeypatch.setattr(env, "horizon", 2)
    assert demonstrate.demonstrate(env, seed=0, index=0, scene="clean") is None
    assert len(tries) == demonstrate.TRIES


def test_a_burst_pushes_in_one_direction_for_some_steps():
    disturbance = demonstrate.Disturbance(np.random.default_rng(0))
    pushes = np.stack([disturbance(np.zeros(7, np.float32))[:3] for _ in range(2000)])
    strong = np.linalg.norm(pushes, axis=1) > 4 * demonstrate.NOISE_M
    assert 0.05 < strong.mean() < 0.3  # about 4 of 25 steps, less those bursts that are small
    assert (strong[1:] & strong[:-1]).sum() > 0.4 * strong.sum()


def test_the_work_of_a_worker_writes_into_the_store(env, tmp_path, monkeypatch):
    monkeypatch.setattr(demonstrate, "make_env", lambda task, options: env)
    work = demonstrate.make_demonstrator(
        root=tmp_path, task="pick", scene="clean", seed=1, image_size=32
    )
    steps = work(5)
    store = EpisodeStore(tmp_path)
    assert store.indices() == {5} and len(store.read(5)) == steps > 0
    with pytest.raises(InputError, match="got episode index 5"):
        work(5)
    monkeypatch.setattr(env, "horizon", 2)
    assert work(6) == 0 and store.indices() == {5}
