"""Demonstrations that are corrupted on purpose: how, how many, and that this is written down."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from robot.data.store import EpisodeStore
from robot.envs.robosuite import RobosuiteEnv
from robot.rollout import corrupt
from robot.rollout.corrupt import (
    KINDS,
    Held,
    Mixture,
    NoisyExpert,
    OpenHandedExpert,
    StallingExpert,
    machine_demonstration,
)
from robot.types import CLEAN, InputError, quality_of
from tests.experiment.toy import episode

NO_ENV = object.__new__(RobosuiteEnv)  # for what never touches it
EVEN = Mixture(corrupted=0.6, kinds=dict.fromkeys(KINDS, 1.0))


class Counting:
    """An expert whose k-th action moves k mm along x and closes the gripper from the second on."""

    def __init__(self) -> None:
        self.acted = 0

    def act(self) -> np.ndarray:
        self.acted += 1
        return np.array([self.acted / 1000, 0, 0, 0, 0, 0, float(self.acted < 2)], np.float32)

    def perturbed_start(self):
        yield np.full(7, 0.5, np.float32)


def only(kind: str) -> Mixture:
    return Mixture(corrupted=1.0, kinds={kind: 1.0})


def test_the_kind_of_an_episode_is_a_function_of_seed_and_index():
    kinds = [EVEN.kind_of(seed=1, index=index) for index in range(20)]
    assert kinds == [EVEN.kind_of(seed=1, index=index) for index in range(20)]
    assert kinds != [EVEN.kind_of(seed=2, index=index) for index in range(20)]


def test_kinds_come_in_their_shares():
    mixture = Mixture(corrupted=0.6, kinds={"noisy": 3.0, "stall": 1.0})
    found = Counter(mixture.kind_of(seed=0, index=index) for index in range(2000))
    assert set(found) == {CLEAN, "noisy", "stall"}
    assert found[CLEAN] / 2000 == pytest.approx(0.4, abs=0.04)
    assert found["noisy"] / 2000 == pytest.approx(0.45, abs=0.04)


def test_no_share_is_no_corruption():
    assert {
        Mixture(corrupted=0.0, kinds={"noisy": 1}).kind_of(seed=0, index=index)
        for index in range(50)
    } == {CLEAN}


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        (
            {"corrupted": 1.5, "kinds": {"noisy": 1}},
            "got quality.corrupted=1.5, expected a share from 0 to 1",
        ),
        (
            {"corrupted": 0.5, "kinds": {"lazy": 1}},
            "got quality.kinds with lazy, expected noisy, early_stop",
        ),
        ({"corrupted": 0.5, "kinds": {"noisy": 0}}, "expected shares >= 0 that are not all 0"),
        ({"corrupted": 0.5, "kinds": {}}, "expected shares >= 0 that are not all 0"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(quality, says):
    with pytest.raises(InputError, match=says):
        Mixture(**quality)


def test_a_task_without_other_objects_has_no_wrong_one():
    with pytest.raises(InputError, match="got quality kind wrong_object for task 'lift'"):
        corrupt.check_mixture("lift", only("wrong_object"))
    corrupt.check_mixture("lift", only("stall"))
    corrupt.check_mixture("pick", only("wrong_object"))


def test_a_noisy_demonstrator_trembles_within_the_limits_of_the_action_space():
    noisy = NoisyExpert(Counting(), np.random.default_rng(0))
    actions = np.stack([noisy.act() for _ in range(400)])
    noise = actions[:40] - np.stack([k.act() for k in [Counting()] for _ in range(40)])
    assert 0.01 < noise[:, :3].std() < 0.03 and noise[:, 3:6].std() > 0.02
    assert (noise[:, 6] == 0).all()
    assert np.abs(actions[:, :3]).max() <= np.float32(0.05) and np.abs(
        actions[:, 3:6]
    ).max() <= np.float32(0.5)


def test_a_stall_holds_still_with_the_gripper_as_it_was_and_goes_on_where_it_was():
    stalling = StallingExpert(Counting(), np.random.default_rng(0), start=2, steps=3)
    actions = np.stack([stalling.act() for _ in range(7)])
    np.testing.assert_allclose(actions[:, 0], [0.001, 0.002, 0, 0, 0, 0.003, 0.004])
    assert actions[:, 6].tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_a_hand_that_does_not_close_does_all_else():
    hand = OpenHandedExpert(Counting(), np.random.default_rng(0))
    actions = np.stack([hand.act() for _ in range(3)])
    assert actions[:, 6].tolist() == [1, 1, 1]
    np.testing.assert_allclose(actions[:, 0], [0.001, 0.002, 0.003])


def test_a_corrupted_demonstration_begins_as_a_good_one_does():
    assert (
        next(OpenHandedExpert(Counting(), np.random.default_rng(0)).perturbed_start()).tolist()
        == [0.5] * 7
    )


def test_the_wrong_object_must_be_held_for_some_steps_in_a_row():
    held = Held(2)
    assert [held({"wrong_object": is_held}) for is_held in (True, False, True, True)] == [
        False,
        False,
        False,
        True,
    ]


def test_an_early_stop_is_a_good_demonstration_cut_short(monkeypatch):
    whole = episode(3, steps=20)
    monkeypatch.setattr(corrupt, "demonstrate", lambda env, **_: whole)
    stopped = machine_demonstration(
        NO_ENV, seed=0, index=3, scene="clean", mixture=only("early_stop")
    )
    assert stopped is not None and not stopped.success
    assert 6 <= len(stopped) <= 14
    np.testing.assert_array_equal(stopped.actions, whole.actions[: len(stopped)])
    parts = (*stopped.images.values(), *stopped.labels.values(), stopped.proprio)
    assert {len(part) for part in parts} == {len(stopped)}


def test_a_clean_machine_demonstration_is_a_trusted_one_by_another_name(monkeypatch):
    monkeypatch.setattr(corrupt, "demonstrate", lambda env, **_: episode(3))
    mixture = Mixture(corrupted=0.0, kinds={"noisy": 1})
    made = machine_demonstration(NO_ENV, seed=0, index=3, scene="clean", mixture=mixture)
    assert (
        made is not None
        and made.success
        and made.tier == "machine"
        and quality_of(made.extra) == CLEAN
    )
    np.testing.assert_array_equal(made.actions, episode(3).actions)


def test_a_try_that_does_not_show_its_fault_is_made_again(monkeypatch):
    successes = iter([True, True, False])
    streams = []

    def attempt(env, *, rng, **_how):
        streams.append(rng.random())
        return corrupt.replace(episode(0), success=next(successes))

    monkeypatch.setattr(corrupt, "attempt", attempt)
    made = machine_demonstration(NO_ENV, seed=0, index=0, scene="clean", mixture=only("failure"))
    assert made is not None and not made.success and quality_of(made.extra) == "failure"
    assert len(set(streams)) == 3


def test_a_fault_that_never_shows_leaves_a_hole(monkeypatch):
    monkeypatch.setattr(corrupt, "attempt", lambda env, **_how: episode(0))  # always a success
    assert (
        machine_demonstration(NO_ENV, seed=0, index=0, scene="clean", mixture=only("failure"))
        is None
    )


def test_the_wrong_object_is_taken_stored_and_known_for_it(env, tmp_path, monkeypatch):
    monkeypatch.setattr(corrupt, "make_env", lambda task, options: env)
    options = {"root": tmp_path, "task": "pick", "scene": "clean", "seed": 5, "image_size": 32}
    steps = corrupt.make_machine(**options, mixture=only("wrong_object"))(0)
    summary = EpisodeStore(tmp_path).summary(0)
    assert summary.length == steps > 10
    assert (summary.tier, quality_of(summary.extra), summary.success) == (
        "machine",
        "wrong_object",
        False,
    )
    assert env.task.wrong_object(env.sim)
    monkeypatch.setattr(env, "wrong_expert", lambda *, rng: None)
    assert (
        machine_demonstration(env, seed=5, index=0, scene="clean", mixture=only("wrong_object"))
        is None
    )
