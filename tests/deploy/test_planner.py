"""The planner answers beside the loop, with the newest observation, and says how it fares."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from robot.agent import Plan
from robot.deploy.planner import AsyncPlanner, Request
from robot.types import ActionChunk, Goal, Mask, MaskStatus, Observation


def observed(time_s: float = 0.0) -> Observation:
    return Observation(
        frames=(), proprio=np.zeros(3, np.float32), goal=Goal("lift it"), time_s=time_s
    )


def plan_of(observation: Observation) -> Plan:
    mask = Mask(
        probability=(),
        presence=np.zeros((0, 2), np.float32),
        predicted_iou=np.zeros(0, np.float32),
        status=(MaskStatus.FOUND,),
    )
    actions = np.full((4, 2), observation.time_s, np.float32)
    return Plan(
        chunk=ActionChunk(actions=actions, control_dt_s=0.05, time_s=observation.time_s),
        mask=mask,
        composites=torch.zeros(0),
        mask_ms=0.0,
        policy_ms=0.0,
    )


class Slow:
    """Plans when it is let."""

    def __init__(self) -> None:
        self.go, self.seen = threading.Semaphore(0), []

    def plan(self, observation, *, generator=None, prefix=None) -> Plan:
        self.seen.append(observation.time_s)
        self.go.acquire()
        if observation.time_s < 0:
            raise ValueError("no policy for the past")
        return plan_of(observation)


@pytest.fixture
def slow():
    agent = Slow()
    planner = AsyncPlanner(agent)
    planner.start()
    yield agent, planner
    for _ in range(10):
        agent.go.release()
    planner.stop()


def waited(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_offering_and_taking_never_wait(slow):
    agent, planner = slow
    planner.offer(Request(observed(1.0), start=0))
    waited(lambda: agent.seen)
    assert planner.take() is None and not planner.idle
    assert planner.busy_s > 0


def test_the_newest_observation_is_planned_for_next(slow):
    agent, planner = slow
    for time_s in (1.0, 2.0, 3.0):
        planner.offer(Request(observed(time_s), start=int(time_s)))
        waited(lambda: agent.seen)
    agent.go.release()
    waited(lambda: len(agent.seen) == 2)
    assert agent.seen == [1.0, 3.0]


def test_an_answer_comes_once_with_its_request(slow):
    agent, planner = slow
    planner.offer(Request(observed(1.0), start=7))
    agent.go.release()
    answers = []
    waited(lambda: answers.append(planner.take()) or answers[-1] is not None)
    assert answers[-1].request.start == 7 and planner.take() is None


def test_a_failure_is_raised_where_it_is_taken_and_planning_goes_on(slow):
    agent, planner = slow
    planner.offer(Request(observed(-1.0), start=0))
    agent.go.release()
    waited(lambda: planner.busy_s == 0 and agent.seen)
    with pytest.raises(ValueError, match="the past"):
        waited(lambda: planner.take() is not None)
    planner.offer(Request(observed(2.0), start=1))
    agent.go.release()
    waited(lambda: planner.take() is not None)
