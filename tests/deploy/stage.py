"""A loop on a stage: an arm that is where it was sent, time that passes when it is told to, and a
planner that answers after so many control steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from robot.agent import Plan
from robot.deploy.clock import Clock
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.operator import NOTHING, Intent
from robot.deploy.options import LoopOptions
from robot.deploy.planner import Answer, Request
from robot.deploy.rig import Rig
from robot.hardware.camera import CameraError, Shot
from robot.hardware.safety import SafeArm
from robot.spaces import Camera
from robot.types import ActionChunk, Mask, MaskStatus
from tests.hardware.arms import DT_S, PerfectArm, limits
from tests.hardware.arms import Clock as Time

SIZE = 8


class FakeCamera:
    """A new frame at every look, unless it is frozen or unplugged."""

    camera = Camera("front", SIZE, SIZE)

    def __init__(self, time: Time) -> None:
        self.time, self.frozen_s, self.unplugged, self.index = time, None, False, 0
        self.black = False

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def newest(self) -> Shot:
        if self.unplugged:
            raise CameraError("the camera front is gone; plug it in again")
        self.index += 1
        time_s = self.time() if self.frozen_s is None else self.frozen_s
        value = 0 if self.black else 100 + self.index % 100
        return Shot(np.full((SIZE, SIZE, 3), value, np.uint8), time_s, self.index)


class StepPlanner:
    """Answers `delay` control steps after it was asked: `chunk` from `make`."""

    def __init__(self, time: Time, *, delay: int = 1, length: int = 16) -> None:
        self.time, self.delay, self.length = time, delay, length
        self.status, self.waits = MaskStatus.FOUND, False
        self.velocity_m = 0.005  # per control step, along y
        self.error: Exception | None = None
        self.hangs = False
        self.requests: list[Request] = []
        self._open: tuple[Request, float] | None = None

    def offer(self, request: Request) -> bool:
        assert self.idle
        self.requests.append(request)
        self._open = request, self.time()
        return True

    def take(self) -> Answer | None:
        if self._open is None or self.hangs:
            return None
        request, since = self._open
        if self.time() - since < self.delay * DT_S - 1e-6:
            return None
        self._open = None
        if self.error is not None:
            raise self.error
        return Answer(
            plan=self.plan(request), request=request, began_s=since, time_s=self.time(), labels={}
        )

    @property
    def busy_s(self) -> float:
        return 0.0 if self._open is None else self.time() - self._open[1]

    @property
    def idle(self) -> bool:
        return self._open is None

    def plan(self, request: Request) -> Plan:
        actions = np.zeros((self.length, 7), np.float32)
        actions[:, 1], actions[:, 6] = self.velocity_m, 1.0
        observation = request.observation
        mask = Mask(
            probability=(np.zeros((3, SIZE, SIZE), np.float32),),
            presence=np.ones((1, 2), np.float32),
            predicted_iou=np.ones(1, np.float32),
            status=(self.status,),
        )
        return Plan(
            chunk=ActionChunk(actions=actions, control_dt_s=DT_S, time_s=observation.time_s),
            mask=mask,
            composites=torch.zeros(0),
            mask_ms=0.0,
            policy_ms=0.0,
            waits=self.waits,
        )


class Script:
    """An operator whose intents stand in a table by control step; `then` is called at steps."""

    def __init__(self) -> None:
        self.intents: dict[int, Intent] = {}
        self.then: dict[int, object] = {}
        self.polls = 0

    def poll(self, *, gripper: float) -> Intent:
        step, self.polls = self.polls, self.polls + 1
        if step in self.then:
            self.then[step]()  # type: ignore[operator]
        return self.intents.get(step, NOTHING)

    def ask(self, question: str) -> str:
        return "no"

    def begins(self, *, gripper: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class FakeRecorder:
    steps: list = field(default_factory=list)
    begun: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    goals: list = field(default_factory=list)
    failure: str | None = None

    def change_goal(self, goal: str, *, regions: tuple = ()) -> None:
        self.goals.append(goal)

    def begin(self, header: Header) -> None:
        self.begun.append(header)

    def step(self, step) -> None:
        self.steps.append(step)

    def end(self, *, success: bool, extra=None) -> None:
        self.ended.append((success, extra))


class Stage:
    """All of it."""

    def __init__(self, *, delay: int = 1, **loop_options) -> None:
        self.time = Time()
        self.arm = PerfectArm(self.time, kind="gantry")
        wide = limits(soft_start_s=1e-3, max_jerk_m_s3=1e4, max_acceleration_m_s2=100.0)
        self.safe = SafeArm(self.arm, replace(wide, max_mask_age_s=1.0), clock=self.time)
        self.camera = FakeCamera(self.time)
        self.planner = StepPlanner(self.time, delay=delay)
        self.operator, self.recorder = Script(), FakeRecorder()
        self.success_at: int | None = None
        self.rig = Rig(self.safe, [self.camera])
        self.loop = Loop(
            self.rig,
            self.planner,
            options=LoopOptions(**loop_options),
            goal="lift it",
            operator=self.operator,
            recorder=self.recorder,
            succeeded=lambda: self.success_at is not None and self.operator.polls > self.success_at,
            clock=Clock(DT_S, now=self.time, sleep=self.time.pass_),
        )

    def run(self, steps: int = 40):
        self.safe.connect()
        try:
            return self.loop.run_episode(limit_s=(steps - 0.5) * DT_S, header=self.header())
        finally:
            self.safe.disconnect()

    def header(self) -> Header:
        return Header(0, "pick", self.loop.goal, "real", 0, self.rig.spaces)

    @property
    def path_y(self) -> np.ndarray:
        """Return y [m] of all that was sent to the arm."""
        return np.array([command.ee_position[1] for command in self.arm.sent])
