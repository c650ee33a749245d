"""One env for all tests of rollouts: what an episode shows does not depend on those before it."""

from __future__ import annotations

import pytest

from robot.envs.robosuite import RobosuiteEnv


@pytest.fixture(scope="session")
def pick_env():
    env = RobosuiteEnv(task="pick", image_size=32)
    yield env
    env.close()


@pytest.fixture
def env(pick_env, monkeypatch):
    """The env in the task `pick`; a test may set its horizon."""
    pick_env.switch_task("pick")
    monkeypatch.setattr(pick_env, "horizon", pick_env.horizon)  # put back afterwards
    return pick_env
