"""An agent in an env: what counts as success, what is kept, and how often it looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robot.agent import Agent
from robot.envs.make import EnvOptions
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay
from robot.perception.sources import NoMask, OracleMasks
from robot.rollout import act
from robot.rollout.act import Job, Protocol, evaluate_episode, make_evaluator
from robot.rollout.agents import AgentSpec


class Still:
    """A policy that stays where it is, the gripper open; counts its looks."""

    def __init__(self) -> None:
        self.looks = 0

    def sample(self, observation, generator=None):
        self.looks += 1
        return torch.zeros(1, 16, 7) + torch.tensor([0, 0, 0, 0, 0, 0, 1.0])


class AsExpert:
    """A policy that asks the episode's expert, one step at a time."""

    def __init__(self, env) -> None:
        self._env, self._steps, self._expert = env, None, None

    def sample(self, observation, generator=None):
        if self._steps is None or self._env._steps < self._steps:
            self._expert = self._env.expert(rng=np.random.default_rng(0))
        self._steps = self._env._steps
        return torch.from_numpy(np.asarray(self._expert.act(), dtype=np.float32))[None, None]


def agent_of(env, policy, *, oracle: bool = True) -> Agent:
    masks = OracleMasks(env.label_maps) if oracle else NoMask()
    options = {"image_size": 16, "spaces": env.spaces}
    return Agent(
        masks=masks,
        deployment=Overlay(),
        policy=policy,
        language=LanguageEncoder.hashed(),
        **options,
    )


def run(
    env,
    policy,
    *,
    execute: int = 8,
    ensemble_decay: float | None = None,
    keep: bool = False,
    scene: str = "clean",
    index: int = 3,
    oracle: bool = True,
):
    return evaluate_episode(
        env,
        agent_of(env, policy, oracle=oracle),
        protocol=protocol_of(execute=execute, ensemble_decay=ensemble_decay),
        scene=scene,
        index=index,
        keep=keep,
    )


def protocol_of(*, execute: int = 8, ensemble_decay: float | None = None) -> Protocol:
    options = EnvOptions(robot="Panda", image_size=32, control_dt_s=0.05)
    return Protocol(seed=1, execute=execute, ensemble_decay=ensemble_decay, env=options)


def test_an_agent_that_acts_as_the_expert_succeeds(env):
    outcome = run(env, AsExpert(env), execute=1)
    assert outcome.success and outcome.closed_on_object and not outcome.wrong_object
    assert 10 < outcome.steps == len(outcome.plan_ms) < env.horizon
    assert outcome.goal == env.goal


def test_an_agent_that_does_nothing_fails_at_the_horizon_and_looks_once_per_chunk(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 20)
    policy = Still()
    outcome = run(env, policy, execute=8)
    assert not outcome.success and not outcome.closed_on_object
    assert outcome.steps == 20
    assert policy.looks == len(outcome.plan_ms) == 3  # at steps 0, 8 and 16
    assert all(ms > 0 for ms in outcome.plan_ms)


def test_masks_of_the_oracle_overlap_the_truth_wholly(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 8)
    assert run(env, Still()).mask_iou == 1.0
    assert 0.0 < run(env, Still(), oracle=False).mask_iou < 0.5  # no mask keeps everything


def test_there_is_no_overlap_to_speak_of_where_the_target_is_absent(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 8)
    assert run(env, Still(), scene="absent").mask_iou is None


def test_pictures_are_kept_when_asked_for(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 16)
    assert run(env, Still()).snapshots == ()
    kept = run(env, Still(), keep=True).snapshots
    assert len(kept) == 3  # two decisions, and how it ended
    np.testing.assert_array_equal(kept[-1].images["wrist"], env.observe()["images"]["wrist"])
    assert set(kept[0].images) == {"agentview", "wrist"}
    assert kept[0].composites.shape == (2, 3, 16, 16) and np.shape(kept[0].probability) == (
        2,
        3,
        32,
        32,
    )


def test_of_a_failure_the_first_and_the_last_look_are_kept(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 16)
    first, last = run(env, Still()).failure
    assert set(first.images) == set(last.images) == {"agentview", "wrist"}
    np.testing.assert_array_equal(last.images["wrist"], env.observe()["images"]["wrist"])


def test_a_wrong_object_held_once_is_remembered(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 24)
    verdicts = iter([False, False, True, False, False])  # at the reset, and after each chunk
    monkeypatch.setattr(env.task, "wrong_object", lambda sim: next(verdicts))
    outcome = run(env, Still())
    assert outcome.wrong_object and outcome.closed_on_object and not outcome.success


def test_an_outcome_is_a_function_of_its_episode(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 12)
    first, again, other = run(env, Still()), run(env, Still()), run(env, Still(), index=4)
    assert (first.goal, first.steps, first.mask_iou) == (again.goal, again.steps, again.mask_iou)
    assert first.goal != other.goal


def test_jobs_switch_tasks_and_each_arm_is_made_once(env, monkeypatch):
    made = []

    def make(env_made, spec: AgentSpec) -> Agent:
        made.append((spec.policy.name, env_made))
        return agent_of(env_made, Still())

    monkeypatch.setattr(act, "make_env", lambda task, options: env)
    monkeypatch.setattr(act, "make_agent", make)
    monkeypatch.setattr(
        type(env), "switch_task", switching_to_short_episodes(type(env).switch_task)
    )
    jobs = [
        Job(0, "pick", "clean", 0),
        Job(1, "duck_in_pot", "clean", 0, keep=True),
        Job(0, "pick", "distract", 1),
    ]
    work = make_evaluator(agents=[spec_of("a"), spec_of("b")], jobs=jobs, protocol=protocol_of())
    outcomes = [work(k) for k in range(3)]
    assert made == [("a", env), ("b", env)]
    assert "duck" in outcomes[1].goal and [len(o.snapshots) for o in outcomes] == [0, 2, 0]


def spec_of(name: str) -> AgentSpec:
    return AgentSpec(policy=Path(name), perception="none", head=None, deployment=Overlay())


def test_only_the_last_agents_are_kept(env, monkeypatch):
    made = []

    def make(env_made, spec: AgentSpec) -> Agent:
        made.append(spec.policy.name)
        return agent_of(env_made, Still())

    monkeypatch.setattr(act, "make_env", lambda task, options: env)
    monkeypatch.setattr(act, "make_agent", make)
    monkeypatch.setattr(act, "KEPT_AGENTS", 2)
    monkeypatch.setattr(
        type(env), "switch_task", switching_to_short_episodes(type(env).switch_task)
    )
    jobs = [Job(k, "pick", "clean", 0) for k in (0, 1, 1, 2, 1, 0)]
    specs = [spec_of(name) for name in "abc"]
    work = make_evaluator(agents=specs, jobs=jobs, protocol=protocol_of())
    for k in range(len(jobs)):
        work(k)
    assert made == ["a", "b", "c", "a"]


def switching_to_short_episodes(switch_task):
    def switch(self, name: str) -> None:
        switch_task(self, name)
        self.horizon = 4

    return switch


def test_a_kept_episode_is_filmed_on_the_way_and_happens_as_it_does_unseen(env, monkeypatch):
    monkeypatch.setattr(env, "horizon", 12)
    looks = []

    class Seeing(AsExpert):
        def sample(self, observation, generator=None):
            looks.append(observation.images)
            return super().sample(observation, generator).repeat(1, 8, 1)

    kept = run(env, Seeing(env), keep=True, scene="noise")
    unseen = run(env, Seeing(env), scene="noise")
    assert kept.steps == unseen.steps == 12 and unseen.snapshots == ()
    for one, other in zip(looks[:2], looks[2:], strict=True):  # the sensor's noise included
        torch.testing.assert_close(one, other)
    assert [len(s.motion) for s in kept.snapshots] == [3, 1, 0]  # at 2, 4, 6; at 10
    shown = [s.motion[0]["agentview"] for s in kept.snapshots[:2]]
    assert shown[0].shape == (32, 32, 3) and (shown[0] != shown[1]).any()


@pytest.mark.parametrize("decay", [None, 0.1])
def test_overlapping_chunks_are_averaged_when_asked_for(env, monkeypatch, decay):
    """A chunk says 'closed' from its second half on: only the ensemble mixes that into what the
    newest chunk says.
    """
    monkeypatch.setattr(env, "horizon", 12)
    executed = []
    advance = env.advance
    monkeypatch.setattr(
        env, "advance", lambda actions, **kw: executed.extend(actions) or advance(actions, **kw)
    )

    class Closing:
        def sample(self, observation, generator=None):
            actions = torch.zeros(1, 8, 7)
            actions[:, :4, 6] = 1.0
            return actions

    run(env, Closing(), execute=4, ensemble_decay=decay)
    openings = np.array([action[6] for action in executed])
    assert (openings[:4] == 1.0).all()
    assert (
        (openings[4:] == 1.0).all()
        if decay is None
        else ((openings[4:] > 0.4) & (openings[4:] < 0.6)).all()
    )


@pytest.mark.parametrize("goal", ["tidy up", "fetch the banana"])
def test_a_goal_that_names_nothing_there_has_no_verdict(env, monkeypatch, goal):
    monkeypatch.setattr(env, "horizon", 8)
    monkeypatch.setattr(env, "_words", goal)
    outcome = run(env, Still(), keep=True)
    assert (outcome.success, outcome.failure, outcome.goal) == (None, None, goal)


def test_a_goal_that_names_an_object_there_has_a_verdict(env, monkeypatch):
    env.reset(seed=1, options={"episode": 3, "scene": "clean"})
    monkeypatch.setattr(env, "horizon", 8)
    noun = env.task.scene.target_noun
    monkeypatch.setattr(env, "_words", f"kindly hoist the {noun.colour} {noun.shape}")
    assert run(env, Still()).success is False
