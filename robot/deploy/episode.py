"""One episode of the loop: its state, and a control step as the sequence of its parts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from robot.data.corrections import CORRECTED
from robot.deploy.clock import Tick
from robot.deploy.history import History
from robot.deploy.journal import Step
from robot.deploy.operator import NOTHING, Intent
from robot.deploy.planner import Answer, Request
from robot.deploy.rig import Look
from robot.deploy.schedule import Due, Schedule
from robot.deploy.status import Status
from robot.hardware.arm import ArmError
from robot.hardware.camera import CameraError
from robot.hardware.holding import Seen
from robot.hardware.teleop.blend import HandOver
from robot.spaces import Vector
from robot.types import Goal, MaskStatus

if TYPE_CHECKING:
    from robot.deploy.loop import Loop

STATUS_NUMBER = {MaskStatus.FOUND: 0, MaskStatus.ABSENT: 1, MaskStatus.UNCERTAIN: 2}
FAILURES_IN_A_ROW = 5  # of planning, then the episode ends
HAND_OVER_SHARE = 0.2  # of an action's range
REST_S = 3.0  # that a controlled stop may take


class Episode:
    """The state of one episode, and its control step."""

    def __init__(self, loop: Loop, *, limit_s: float) -> None:
        self.loop, self.limit_s, options = loop, limit_s, loop.options
        self.schedule = Schedule(
            seams=options.seams,
            ensemble_decay=options.ensemble_decay,
            blend_steps=options.blend_steps,
            guided=options.guided,
        )
        self.hands = HandOver(
            blend_s=options.hand_over_s, step_limit=step_limit(loop.rig.spaces.action)
        )
        self.generation = loop.generation
        self.answer: Answer | None = None  # the newest
        self.labels: Mapping[str, np.ndarray] | None = None
        self.offered = -(10**9)
        self.began_s: float | None = None
        self.failures = 0
        self.fault_s: float | None = None  # since when the arm or a camera is missing
        self.history = History(dt_s=loop.dt_s)
        self.why = self.why_no_plan = self.unrecorded = ""

    def step(self, tick: Tick) -> tuple[str, bool | None] | None:
        """Do one control step; return how the episode ended, None where it goes on."""
        if self.began_s is None:
            self.began_s = tick.time_s
        intent = self._intent()
        if intent.ends or intent.quits:
            return ("quit" if intent.quits else "ended by a person"), intent.success
        look = self._look(tick)
        if look is None:
            assert self.fault_s is not None
            if tick.time_s - self.fault_s > self.loop.options.fault_timeout_s:
                return f"fault: {self.why}", None
            self._account(tick, self._held(self.why), None, held=True)
            return None
        new = self._take(tick)
        if self.failures >= FAILURES_IN_A_ROW:
            return f"fault: {self.why_no_plan}", None
        if self.loop.planner.busy_s > self.loop.options.plan_timeout_s:
            return f"fault: the policy gave no plan for {self.loop.planner.busy_s:.0f} s", None
        self._offer(look, tick, person=intent.jog is not None)
        try:
            sent, due, mode = self._act(look, tick, intent)
        except ArmError as error:
            self.fault_s, self.why = self.fault_s or tick.time_s, str(error)
            self.loop.note("arm", self.why)
            sent, due, mode = np.zeros(len(self.loop.rig.spaces.action), np.float32), None, "hold"
        self._account(tick, sent, due, held=mode in ("hold", "e-stop"))
        self._record(tick, look, sent, due, intent, mode, new=new)
        self._show(tick, look, sent, mode)
        if self.unrecorded and self.loop.options.needs_recording:
            return f"fault: {self.unrecorded}", None
        if self.loop.succeeded():
            return "success", True
        if tick.time_s - self.began_s >= self.limit_s:
            return "time limit", None
        return None

    def rest(self) -> None:
        """Bring the arm to rest within its limits."""
        arm = self.loop.rig.arm
        deadline = time.monotonic() + REST_S
        try:
            while not arm.at_rest and not arm.estopped and time.monotonic() < deadline:
                self.loop.clock.tick()
                arm.read()
                arm.hold("the episode ended")
        except ArmError as error:
            self.loop.note("arm", str(error))

    # The parts of a step, in order.

    def _intent(self) -> Intent:
        loop = self.loop
        intent = loop.operator.poll(gripper=self._gripper()) or NOTHING
        loop.polls += 1
        if intent.estop:
            loop.rig.arm.estop("pressed by the operator")
            loop.note("e-stop", "pressed by the operator")
        elif intent.release and loop.rig.arm.estopped:
            loop.rig.arm.release()
            self.schedule.clear()
            loop.note("e-stop", "released")
        asked = (intent.goal, intent.regions)
        if intent.goal is not None and asked != (loop.goal, loop.regions):
            loop.change_goal(intent.goal, regions=intent.regions)
            loop.note("goal", intent.goal)
        if loop.generation != self.generation:
            self.generation = loop.generation
            self.schedule.clear()
            self.answer = self.labels = None
            if loop.recorder is not None:
                loop.recorder.change_goal(loop.goal, regions=loop.regions)
        return intent

    def _gripper(self) -> float:
        """Return the gripper's target that was sent last, or its opening before any was."""
        target = self.loop.rig.arm.gripper_target
        return self.loop.rig.opening if target is None else target

    def _look(self, tick: Tick) -> Look | None:
        try:
            look = self.loop.rig.observe(Goal(self.loop.goal, self.loop.regions))
        except (ArmError, CameraError) as error:
            self.why = str(error)
            self.fault_s = self.fault_s or tick.time_s
            self.loop.note("arm" if isinstance(error, ArmError) else "camera", self.why)
            return None
        self.fault_s = None
        return look

    def _take(self, tick: Tick) -> bool:
        """Take what the planner has by now; return whether it is something new."""
        loop = self.loop
        try:
            answer = loop.planner.take()
        except Exception as error:
            self._plan_failed(f"the policy failed: {type(error).__name__}: {error}")
            return False
        if answer is None or answer.request.generation != self.generation:
            return False
        actions = answer.plan.chunk.actions
        if not np.isfinite(actions).all():
            self._plan_failed("the policy's actions are not finite")
            return False
        self.failures = 0
        self.answer = answer
        self.history.plans += 1
        self.labels = answer.labels
        sync = loop.options.execution == "sync"
        start = tick.index if sync else answer.request.start
        if sync:
            actions = actions[: loop.options.execute_steps]
        self.history.late += self.schedule.add(actions, start=start, now=tick.index)
        latency = tick.time_s - answer.request.observation.time_s
        self.history.latencies_s.append(latency)
        loop.estimate.add(latency)
        return True

    def _plan_failed(self, why: str) -> None:
        """Hold the arm: what a broken policy planned before is not to be trusted either."""
        self.failures += 1
        self.why_no_plan = why
        self.schedule.clear()
        self.loop.note("policy", why)

    def _offer(self, look: Look, tick: Tick, *, person: bool) -> None:
        """Have the newest observation planned for, where it is time to."""
        loop, options = self.loop, self.loop.options
        left = self.schedule.left(tick.index)
        if options.execution == "sync":
            if left or not loop.planner.idle:
                return
        elif tick.index - self.offered < options.replan_steps and left or not loop.planner.idle:
            return
        age = tick.time_s - look.observation.time_s
        start = tick.index - round(age / loop.dt_s)
        prefix = None
        if options.seams == "rtc" and options.execution == "async" and not person:
            prefix = self.schedule.prefix(
                start=start, now=tick.index, delay_steps=loop.estimate.steps
            )
        self.offered = tick.index
        loop.planner.offer(
            Request(
                observation=look.observation,
                start=start,
                prefix=prefix,
                generation=self.generation,
            )
        )

    def _act(self, look: Look, tick: Tick, intent: Intent) -> tuple[np.ndarray, Due | None, str]:
        """Send what is due; return what was sent, where it comes from, and who drives."""
        loop, rig = self.loop, self.loop.rig
        due = self.schedule.due(tick.index)
        if intent.jog is not None:  # he looks for himself: nothing of Seen is checked
            own = intent.jog if due is None else due.action
            action = self.hands.action(own, intent.jog, hand="operator", now_s=tick.time_s)
            return rig.act(action, seen=None, now_s=tick.time_s), None, self._mode("person")
        if due is None or self.answer is None:
            self.why = self._why_nothing_is_due()
            return self._held(self.why), None, self._mode("hold")
        if self.history.first is None and not self.answer.plan.waits:
            self.history.first = len(self.history)
        before = self.loop.rig.arm.holds
        action = self.hands.action(due.action, due.action, hand="agent", now_s=tick.time_s)
        sent = rig.act(action, seen=self._seen(look), now_s=tick.time_s)
        if self.loop.rig.arm.holds > before:
            newest = rig.arm.recent[-1]
            self.why = f"{newest.kind.value}: {newest.detail}"
            loop.note(newest.kind.value, newest.detail)
            return sent, due, self._mode("hold")
        return sent, due, self._mode("policy")

    def _held(self, why: str) -> np.ndarray:
        """Brake, or stay, where the arm still takes commands."""
        try:
            return self.loop.rig.hold(why)
        except ArmError as error:
            self.loop.note("arm", str(error))
            return np.zeros(len(self.loop.rig.spaces.action), np.float32)

    def _mode(self, mode: str) -> str:
        if self.loop.rig.arm.estopped:
            self.why = self.loop.rig.arm.estopped
            return "e-stop"
        if mode != "hold":
            self.why = ""
        return mode

    def _seen(self, look: Look) -> Seen:
        assert self.answer is not None
        plan = self.answer.plan
        return Seen(
            frame_s={frame.camera: frame.time_s for frame in look.observation.frames},
            problems=look.problems,
            mask_s=self.answer.request.observation.time_s,
            # what was found once and is seen no longer is behind the hand: the agent goes on
            mask_status=plan.mask.status[0] if plan.waits else MaskStatus.FOUND,
        )

    def _why_nothing_is_due(self) -> str:
        if self.failures:
            return self.why_no_plan
        if self.answer is None:
            return "waiting for the first plan"
        return (
            f"no plan for {self.loop.planner.busy_s:.1f} s"
            if self.loop.planner.busy_s
            else ("waiting for the next plan")
        )

    def _account(self, tick: Tick, sent: np.ndarray, due: Due | None, *, held: bool) -> None:
        self.schedule.executed(tick.index, sent)
        self.history.add(time_s=tick.time_s, sent=sent, due=due, held=held)

    def _record(
        self,
        tick: Tick,
        look: Look,
        sent: np.ndarray,
        due: Due | None,
        intent: Intent,
        mode: str,
        *,
        new: bool,
    ) -> None:
        corrected = intent.jog is not None and not self.loop.demonstrates
        self.history.corrected += corrected
        recorder = self.loop.recorder
        if recorder is None:
            return
        answer, latency_s = self.answer, self.history.latency_s
        recorder.step(
            Step(
                images={f.camera: f.image for f in look.observation.frames},
                proprio=look.observation.proprio,
                action=_recordable(sent, self.loop.rig.spaces.action),
                labels=self.labels if new else None,
                columns={
                    "time_s": tick.time_s,
                    "period_s": self.history.period_s,
                    "frame_age_s": tick.time_s - min(s.time_s for s in look.shots),
                    "state_age_s": tick.time_s - look.state.time_s,
                    "mask_age_s": float("nan")
                    if answer is None
                    else tick.time_s - answer.request.observation.time_s,
                    "mask_status": -1
                    if answer is None
                    else STATUS_NUMBER[answer.plan.mask.status[0]],
                    "plan_latency_s": float("nan") if latency_s is None else latency_s,
                    "chunk": -1 if due is None else due.chunk,
                    "chunk_offset": -1 if due is None else due.offset,
                    "is_held": mode in ("hold", "e-stop"),
                    CORRECTED: corrected,
                },
            )
        )
        if recorder.failure is not None:
            self.loop.note("recording", recorder.failure)
            self.unrecorded = recorder.failure

    def _show(self, tick: Tick, look: Look, sent: np.ndarray, mode: str) -> None:
        loop, answer, latency_s = self.loop, self.answer, self.history.latency_s
        loop.status = Status(
            goal=loop.goal,
            step=len(self.history),
            mode=mode,
            why=self.why,
            mask_status="-" if answer is None else answer.plan.mask.status[0].value,
            mask_age_s=None if answer is None else tick.time_s - answer.request.observation.time_s,
            period_ms=1e3 * self.history.period_s,
            latency_ms=None if latency_s is None else 1e3 * latency_s,
            delay_steps=loop.estimate.steps,
            interventions={kind.value: n for kind, n in loop.rig.arm.interventions.items()},
            action=sent,
            look=look,
            labels=self.labels,
        )


def step_limit(space: Vector) -> np.ndarray:
    """Return by how much an action may change per control step while hands change."""
    return (HAND_OVER_SHARE * (np.array(space.high) - np.array(space.low))).astype(np.float32)


def _recordable(action: np.ndarray, space: Vector) -> np.ndarray:
    """Return an action within its bounds: a target farther ahead is not a larger change."""
    return np.clip(action, space.low, space.high).astype(np.float32)
