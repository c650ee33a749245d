"""The open-loop error of an agent beside a recording."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from launch.replaying import replay_of
from robot.report.open_loop import draw_open_loop
from robot.rollout.replay import OpenLoop, open_loop
from robot.types import InputError
from tests.experiment.toy import SPACES, episode, write_demonstrations

STEPS = 6


@dataclass
class Repeating:
    """Plays what was recorded, `off` by a constant: its own clock says where it is."""

    off: float
    asked: int = 0

    def reset(self, *, rng: np.random.Generator) -> None:
        self.started = 0

    def plan(self, observation: Any, *, generator: Any) -> Any:
        self.asked += 1
        step = round(observation.time_s / 0.05)
        actions = np.concatenate([self.recorded[step:], np.zeros((8, 7), np.float32)])[:8]
        return SimpleNamespace(chunk=SimpleNamespace(actions=actions + np.float32(self.off)))

    recorded = episode(0, steps=STEPS).actions


@pytest.fixture
def env(tmp_path):
    return replay_of(write_demonstrations(tmp_path / "recorded", episodes=1))


def run(env, agent, *, execute: int) -> OpenLoop:
    # past the type checks of tests: the agent is asked for no more than `plan` and `reset`
    function = getattr(open_loop, "__wrapped__", open_loop)
    return function(env, agent, episodes=[0], execute=execute, seed=0)


@pytest.mark.parametrize(("execute", "decisions"), [(1, 6), (4, 2), (6, 1)])
def test_an_agent_is_asked_at_every_decision_and_compared_at_every_step(env, execute, decisions):
    agent = Repeating(off=0.0)
    result = run(env, agent, execute=execute)
    assert agent.asked == decisions
    np.testing.assert_array_equal(result.predicted, result.recorded)
    np.testing.assert_array_equal(result.recorded, Repeating.recorded)


def test_a_constant_error_is_its_mean_and_its_percentile(env):
    errors = run(env, Repeating(off=0.01), execute=4).errors(SPACES.action)
    assert list(errors) == list(SPACES.action.names)
    for of in errors.values():
        assert of["mean"] == pytest.approx(0.01, abs=1e-6)
        assert of["p95"] == pytest.approx(0.01, abs=1e-6)
    assert (errors["delta_x"]["unit"], errors["delta_rx"]["unit"]) == ("m", "rad")


def test_holding_still_errs_by_what_was_done_and_keeps_the_gripper_open(env):
    errors = run(env, Repeating(off=0.0), execute=4).errors(SPACES.action)
    done = Repeating.recorded
    assert errors["delta_x"]["still_mean"] == pytest.approx(np.abs(done[:, 0]).mean(), abs=1e-6)
    gripper = np.abs(1.0 - done[:, 6])
    assert errors["gripper_target"]["still_mean"] == pytest.approx(gripper.mean(), abs=1e-6)


def test_the_picture_is_written(env, tmp_path):
    result = run(env, Repeating(off=0.01), execute=4)
    draw_open_loop(
        tmp_path / "open-loop.png",
        recorded=result.recorded,
        predicted=result.predicted,
        names=SPACES.action.names,
        units=SPACES.action.units,
        control_dt_s=0.05,
        decisions=[0, 4],
        title="pick up the red cup",
    )
    assert (tmp_path / "open-loop.png").stat().st_size > 5_000


def test_a_folder_that_is_none_and_an_empty_one_are_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="which is no folder"):
        replay_of(tmp_path / "nothing")
    with pytest.raises(InputError, match="got no episodes"):
        replay_of(tmp_path)
