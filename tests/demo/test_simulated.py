"""The simulated table, with agents that know the scene: what is drawn is what success is about."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from robot.agent import Agent, Plan
from robot.demo.simulated import Pace, SimulatedStation
from robot.demo.state import Choice
from robot.demo.station import Agents
from robot.envs.mujoco import MujocoEnv
from robot.perception.sources import OracleMasks, nothing_of
from robot.types import ActionChunk, Goal, InputError, Region
from robot.words.reader import GoalReader

SCENE = Choice(task="place", scene="duplicates", seed=1000, episode=0)
WORDS = "put <region1> on <region2>"
FOREVER = Pace(speed=None)


class Knowing(Agent):
    """An agent of the scripted expert, one control step at a time."""

    reader = GoalReader.of("tabletop")
    device = "cpu"

    def __init__(self, env: MujocoEnv) -> None:
        self.env, self.waits, self.expert = env, False, None
        self.masks = OracleMasks(env.label_maps)

    def warm_up(self) -> None:
        """Load nothing."""

    def reset(self, *, rng=None) -> None:
        self.expert = None

    def plan(self, observation, *, generator=None, prefix=None) -> Plan:
        self.expert = self.expert or self.env.expert(rng=np.random.default_rng(0))
        still = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
        action = still if self.waits else self.expert.act().astype(np.float32)
        return Plan(
            chunk=ActionChunk(actions=action[None], control_dt_s=0.05),
            mask=nothing_of(observation.frames),
            composites=torch.zeros(0),
            mask_ms=0.0,
            policy_ms=0.0,
            waits=self.waits,
        )


@pytest.fixture(scope="module")
def env():
    env = MujocoEnv(task="place", image_size=64)
    yield env
    env.close()


@pytest.fixture(scope="module")
def agent(env):
    return Knowing(env)


@pytest.fixture(scope="module")
def made(env, agent):
    made = SimulatedStation(
        env,
        lambda: Agents(pick=agent, place=agent),
        choice=SCENE,
        view_size=96,
        samples=0,
        execute=1,
        pace=FOREVER,
    )
    made.prepare()
    return made


@pytest.fixture
def station(made, agent):
    agent.waits = False
    made.arrange(SCENE)
    return made


def drawn(env: MujocoEnv, body: str, index: int) -> Region:
    """Return a box that a person would draw around a body."""
    seen = env.instance_maps()["agentview"] == env.sim.bodies[body].body_id
    rows, columns = np.nonzero(seen)
    box = (columns.min() - 1, rows.min() - 1, columns.max() + 2, rows.max() + 2)
    return Region("agentview", box=tuple(float(v) for v in box), index=index)  # type: ignore[arg-type]


def copies(env: MujocoEnv) -> list[str]:
    """Return the bodies that look alike, as often as any other."""
    nouns = Counter(p.noun for p in env.task.scene.placements)  # type: ignore[attr-defined]
    alike, _ = nouns.most_common(1)[0]
    return [p.body for p in env.task.scene.placements if p.noun == alike]  # type: ignore[attr-defined]


def never() -> bool:
    return False


def test_success_is_that_of_the_boxes_among_things_that_look_alike(env, station):
    scene = env.task.scene
    other = next(body for body in copies(env) if body != scene.target)
    regions = (drawn(env, other, 1), drawn(env, scene.destination, 2))
    steps: list[int] = []
    ending = station.act(
        Goal(WORDS, regions), show=lambda moment: steps.append(moment.step), stopped=never
    )
    assert ending.success and ending.text.startswith("Done in ")
    assert steps == list(range(1, len(steps) + 1))
    assert env.task.scene.target == other
    again = Goal(WORDS, (drawn(env, other, 1), regions[1]))
    assert (
        station.act(again, show=lambda moment: None, stopped=never).text == "That is done already."
    )


def test_stop_ends_it_at_the_next_step(station):
    moments: list = []
    ending = station.act(Goal(station.goal), show=moments.append, stopped=lambda: len(moments) >= 3)
    assert (ending.text, ending.success, len(moments)) == ("Stopped.", None, 3)


def test_what_is_not_found_is_given_up(station, agent):
    agent.waits = True
    moments: list = []
    ending = station.act(Goal("pick up the red cup"), show=moments.append, stopped=never)
    assert ending.text == "I looked for it and cannot find it." and ending.success is None
    assert {moment.status for moment in moments} == {"Looking for it"}


def test_a_goal_that_asks_for_nothing_says_why(station):
    ending = station.act(Goal("what a lovely day"), show=lambda moment: None, stopped=never)
    assert ending.success is None and ending.text.startswith("I do not act on that: ")
    found, why = station.find(Goal("what a lovely day"))
    assert found is None and why == ending.text


def test_masks_are_shown_without_moving(env, station):
    before = env.data.qpos.copy()
    found, why = station.find(Goal(station.goal))
    assert found is not None and not why and found.status == "found"
    assert {"target", "destination"} <= {outline.role for outline in found.outlines}
    np.testing.assert_array_equal(env.data.qpos, before)


def test_people_see_more_than_the_agent(station):
    assert {image.shape for image in station.look().values()} == {(96, 96, 3)}
    assert {frame.image.shape for frame in station.frames()} == {(64, 64, 3)}


def test_other_scenes_and_tasks(env, station):
    station.arrange(Choice(task="pick", scene="clean", seed=5, episode=2))
    assert station.choice.task == env.task.name == "pick"
    assert "duplicates" in station.abilities.scenes and "duck_in_pot" in station.abilities.tasks
    with pytest.raises(InputError, match="got scene 'foggy'"):
        station.arrange(Choice(task="pick", scene="foggy", seed=5, episode=2))
    assert station.choice.scene == "clean"
