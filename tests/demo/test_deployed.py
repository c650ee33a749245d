"""A robot in front of the page: the loop, in real time, with an arm that is where it was sent."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from robot.agent import Agent
from robot.demo import commands as c
from robot.demo.deployed import RobotStation, ending_of
from robot.demo.state import Choice
from robot.demo.station import Agents, Ending
from robot.deploy.history import Outcome
from robot.deploy.robots import Robot
from robot.hardware.safety import SafeArm
from robot.perception.sources import OracleMasks
from robot.types import Label
from robot.words.reader import GoalReader
from tests.demo.stations import eventually, session_of
from tests.deploy.stage import SIZE, FakeCamera, StepPlanner
from tests.hardware.arms import PerfectArm, limits

CHOICE = Choice(task="pick", scene="clean", seed=0, episode=0)
GOAL = "pick up the red cup"


class Moving(Agent):
    """Moves slowly along y, and sees the target in the upper left quarter."""

    reader = GoalReader.of("tabletop")
    device = "cpu"

    def __init__(self) -> None:
        labels = np.zeros((SIZE, SIZE), np.uint8)
        labels[: SIZE // 2, : SIZE // 2] = Label.TARGET
        self.masks = OracleMasks(lambda: {"front": labels})
        self._chunks = StepPlanner(time.monotonic)  # type: ignore[arg-type]

    def reset(self, *, rng=None) -> None: ...

    def plan(self, observation, *, generator=None, prefix=None):
        request = SimpleNamespace(observation=observation)
        plan = self._chunks.plan(request)  # type: ignore[arg-type]
        return replace(plan, mask=self.masks(observation.frames, observation.goal))


@pytest.fixture
def arm():
    return PerfectArm(time.monotonic, kind="gantry")  # type: ignore[arg-type]


@pytest.fixture
def reached():
    return threading.Event()


@pytest.fixture
def station(arm, reached):
    wide = replace(limits(max_jerk_m_s3=1e4, max_acceleration_m_s2=100.0), max_mask_age_s=2.0)
    robot = Robot(
        arm=SafeArm(arm, wide),
        cameras=[FakeCamera(time.monotonic)],  # type: ignore[arg-type]
        succeeded=reached.is_set,
    )
    agent = Moving()
    return RobotStation(
        robot,
        lambda: Agents(pick=agent, place=agent),
        kind="gantry",
        safety=wide,
        choice=CHOICE,
        episode_s=20.0,
    )


def sent(arm: PerfectArm) -> int:
    return len(arm.sent)


def test_nothing_moves_before_it_is_confirmed_then_it_does_until_success(station, arm, reached):
    with session_of(station) as (session, screen):
        state = session.state
        assert state.source == "robot" and state.abilities.confirms and state.choice is None
        assert state.abilities.limits.startswith("gantry: at most 0.5 m/s, in the box (0.25, ")
        session.submit(c.Go(text=GOAL))
        eventually(lambda: "workspace is clear" in session.state.problem)
        assert sent(arm) == 0
        session.submit(c.Go(text=GOAL, confirmed=True))
        eventually(lambda: sent(arm) > 5 and session.state.found)
        assert [(o.camera, o.role) for o in session.state.found.outlines] == [("front", "target")]
        reached.set()
        eventually(lambda: session.state.success)
        assert session.state.turns[-1].text.startswith("Done in ")
        assert {state.status for state in screen.states} >= {"Moving"}
    assert arm.stops > 0


def test_the_emergency_stop_holds_the_arm_until_it_is_released(station, arm):
    with session_of(station) as (session, _):
        session.submit(c.Go(text=GOAL, confirmed=True))
        eventually(lambda: sent(arm) > 5)
        session.submit(c.EmergencyStop())
        eventually(lambda: session.state.estopped == "pressed on the page")
        eventually(lambda: session.state.phase == "ready")
        count = sent(arm)
        session.submit(c.Go(text=GOAL, confirmed=True))
        eventually(lambda: "release it" in session.state.problem)
        assert sent(arm) == count
        session.submit(c.Release())
        eventually(lambda: not session.state.estopped)
        session.submit(c.Go(text=GOAL, confirmed=True))
        eventually(lambda: sent(arm) > count)


def test_a_camera_that_goes_is_one_sentence_on_the_page(station):
    with session_of(station) as (session, screen):
        station._rig.cameras[0].unplugged = True
        eventually(lambda: session.state.problem)
        assert session.state.problem == "the camera front is gone; plug it in again"
        seen = len(screen.views)
        station._rig.cameras[0].unplugged = False
        eventually(lambda: len(screen.views) > seen and not session.state.problem)


@pytest.mark.parametrize(
    ("ended", "success", "ending"),
    [
        ("success", True, Ending("Done in 2.0 s.", success=True)),
        ("ended by a person", None, Ending("Stopped.", success=None)),
        ("time limit", False, Ending("Not done after 2.0 s.", success=False)),
        ("time limit", None, Ending("I stop after 2.0 s.", success=None)),
        ("fault: no camera", None, Ending("I stopped: fault: no camera.", success=None)),
    ],
)
def test_how_it_ended_is_a_sentence(ended, success, ending):
    nothing = np.zeros((0, 7), np.float32)
    outcome = Outcome(
        success=success,
        steps=40,
        ended=ended,
        held_steps=0,
        pauses=0,
        late_actions=0,
        plans=1,
        corrected_steps=0,
        latency_ms=(),
        actions=nothing,
        chunks=(),
        due=nothing,
        held=(),
        times_s=(),
    )
    assert ending_of(outcome, dt_s=0.05) == ending
