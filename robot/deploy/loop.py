"""The deployment loop: observe, plan beside, execute what is due, record. Once per control step.

    planner = AsyncPlanner(agent)
    planner.start(warm_up=rig.observe(goal).observation)
    loop = Loop(rig, planner, options=LoopOptions(), goal=goal)
    outcome = loop.run_episode()

Nothing here waits for anything but the clock. Whatever is missing (a frame, a state, a plan, a
target) holds the arm, and the status says why.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from robot.deploy.clock import Clock
from robot.deploy.episode import Episode
from robot.deploy.history import Outcome
from robot.deploy.journal import Header, Step
from robot.deploy.operator import Nobody, Operator
from robot.deploy.options import LoopOptions
from robot.deploy.planner import Planner
from robot.deploy.rig import Rig
from robot.deploy.schedule import DelayEstimate
from robot.deploy.status import Event, Status
from robot.hardware.arm import ArmError
from robot.types import Region

EVENTS_KEPT = 1000


class Records(Protocol):
    """What keeps a run: a Recorder. No call waits or raises."""

    failure: str | None

    def begin(self, header: Header) -> None: ...

    def change_goal(self, goal: str, *, regions: tuple[Region, ...] = ()) -> None: ...

    def step(self, step: Step) -> None: ...

    def end(self, *, success: bool, extra: Mapping[str, str] | None = None) -> None: ...


class Loop:
    """One arm, one agent, episode after episode. `status` and `events` are for other threads."""

    def __init__(
        self,
        rig: Rig,
        planner: Planner,
        *,
        options: LoopOptions,
        goal: str,
        regions: tuple[Region, ...] = (),
        operator: Operator | None = None,
        recorder: Records | None = None,
        succeeded: Callable[[], bool] | None = None,
        clock: Clock | None = None,
        demonstrates: bool = False,
    ) -> None:
        """`demonstrates`: what a person does is the task itself, and corrects nobody."""
        self.rig, self.options, self.goal, self.regions = rig, options, goal, regions
        self.demonstrates = demonstrates
        self.operator: Operator = operator or Nobody()
        self.recorder, self._succeeded = recorder, succeeded
        self.dt_s = rig.spaces.control_dt_s
        self.clock = clock or Clock(self.dt_s)
        self.planner = planner
        self.estimate = DelayEstimate(dt_s=self.dt_s, quantile=options.delay_quantile)
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.event_counts: Counter[str] = Counter()
        self.status: Status | None = None
        self.polls = 0  # of the operator: as many as there were control steps
        self.generation = 0  # of goals: plans for an older one are dropped

    def run_episode(
        self, *, limit_s: float = float("inf"), header: Header | None = None
    ) -> Outcome:
        """Drive until success, the limit, a person or a fault ends it; the arm is at rest then."""
        if self.recorder is not None and header is not None:
            self.recorder.begin(header)
        episode = Episode(self, limit_s=limit_s)
        ended, said = "interrupted", None
        try:
            self.operator.begins(gripper=self.rig.arm.read().gripper_opening)
            self.clock.start()
            while (end := episode.step(self.clock.tick())) is None:
                pass
            ended, said = end
            episode.rest()
        finally:
            # also for Ctrl-C, wherever it came: the arm stops first, then the recording is kept
            with suppress(ArmError):
                self.rig.arm.stop()
            success = self._success(said)
            if self.recorder is not None and header is not None:
                self.recorder.end(success=bool(success), extra={"ended": ended})
        self.note("end", ended)
        return episode.history.outcome(success=success, ended=ended)

    def note(self, kind: str, text: str) -> None:
        """Keep an event; the same one in a row counts once."""
        self.event_counts[kind] += 1
        if not self.events or (self.events[-1].kind, self.events[-1].text) != (kind, text):
            self.events.append(Event(time_s=time.monotonic(), kind=kind, text=text))

    def change_goal(self, goal: str, *, regions: tuple[Region, ...] = ()) -> None:
        """Follow another goal from now on: plans for the old one are dropped. Its regions are where
        the next look shows them.
        """
        self.goal, self.regions = goal, regions
        self.generation += 1

    def succeeded(self) -> bool:
        return self._succeeded is not None and self._succeeded()

    def _success(self, said: bool | None) -> bool | None:
        if said is not None or self._succeeded is None:
            return said
        try:
            return self._succeeded()
        except ArmError:
            return False
