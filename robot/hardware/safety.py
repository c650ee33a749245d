"""The layer that no command goes around: `SafeArm` wraps any arm, and is one.

What is asked is sent only as far as every limit allows; what is stale or malformed holds the arm. A
hold brakes within the limits and then repeats the pose. Every intervention is counted and kept.
`send` never sleeps and never waits; pacing is the loop's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from robot.hardware.arm import Arm, ArmError, ArmFeatures, ArmState, Command
from robot.hardware.braking import norms, shortened
from robot.hardware.holding import (
    FAR_M,
    Hold,
    Seen,
    bad_state,
    malformed,
    stale,
    why_unseen,
)
from robot.hardware.interventions import Intervention, Kind, Ledger
from robot.hardware.kinematics import Pose, difference, move, orthonormal, pose_at
from robot.hardware.limits import SafetyLimits as SafetyLimits
from robot.hardware.limits import read_limits as read_limits
from robot.hardware.path import Asked, PathState, Rules, advance, begin
from robot.hardware.watchdog import Watchdog

END_AHEAD_S = 0.12  # a joint that would be at the end of its range by then has to be stopped now
END_SPEED = 0.2  # rad/s (m/s of a slide), below which a joint may be close to its end


class SafeArm:
    """An arm within `limits`. Only `stop`, `estop` and the readable parts are for other threads.

    Use: `connect`; then per control period `read`, `send`. After `stop`, an e-stop or the watchdog
    the path begins anew at the measured pose, with a soft start. An e-stop stays until `release`.
    """

    def __init__(
        self, arm: Arm, limits: SafetyLimits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.arm, self.limits = arm, limits
        self.features: ArmFeatures = arm.features
        self._clock = clock
        self._rules = Rules.of(
            limits,
            joints=self.features.joints,
            forward=arm.forward,
            dt_s=self.features.control_dt_s,
        )
        self._path: PathState | None = None  # None: begins at the next state that is measured
        self._measured: ArmState | None = None
        self._begin_after_s = -math.inf  # a state measured before the arm stopped does not count
        self._sent: Command | None = None
        self._gripper_target: float | None = None
        self._estop = ""
        self._ledger = Ledger()
        self._lock = threading.RLock()
        self._watchdog = Watchdog(
            limit_s=limits.watchdog_periods * self.features.control_dt_s,
            clock=clock,
            overdue=self._on_overdue,
        )

    # What is readable at any time, from any thread.

    @property
    def interventions(self) -> Mapping[Kind, int]:
        """Return how often each kind happened."""
        return self._ledger.counts

    @property
    def holds(self) -> int:
        """Return how often the arm was held, instead of a command being changed."""
        return self._ledger.holds

    @property
    def recent(self) -> tuple[Intervention, ...]:
        """Return the newest interventions, oldest first."""
        return self._ledger.recent

    @property
    def gripper_target(self) -> float | None:
        """Return the gripper's target that was sent last, None where none was since the arm was
        connected.
        """
        return self._gripper_target

    @property
    def estopped(self) -> str:
        """Return why the e-stop is latched, "" where it is not."""
        return self._estop

    @property
    def at_rest(self) -> bool:
        """Return whether the commanded path stands still."""
        return self._path is None or self._path.at_rest

    @property
    def path(self) -> PathState | None:
        """Return what was sent last and how it comes to rest, for tests and viewers."""
        return self._path

    # An Arm.

    def connect(self) -> None:
        """Reach the arm; nothing moves, and the watchdog waits for the first command."""
        self.arm.connect()
        self._begin_anew()

    def read(self) -> ArmState:
        """Return the newest measured state, and keep it: `send` judges its age."""
        state = self.arm.read()
        self._measured = state
        return state

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the wrapped arm's kinematics."""
        return self.arm.forward(joints)

    def send(self, command: Command, *, seen: Seen | None = None) -> Command:
        """Send what the limits allow of a command and return what was really sent."""
        now_s = self._clock()
        held = self._why_hold(command, seen, now_s=now_s)
        sent = self._step(command, held, now_s=now_s)
        if sent is None:
            why = self._why_not_measured(now_s=now_s)
            raise ArmError(
                "got a command before any state that could be held, expected read() once per "
                f"control period: {why[1] if why else 'it is read now'}"
            )
        return sent

    def hold(self, reason: str = "") -> Command | None:
        """Brake by one step, or stay: a controlled stop is `hold` every period until `at_rest`.

        None where nothing was measured yet that could be held.
        """
        return self._step(None, (Kind.HOLD, reason), now_s=self._clock())

    def stop(self) -> None:
        """Stop the arm where it is, from any thread; the next command begins anew, slowly."""
        self._watchdog.disarm()
        self._stop_arm()

    def recover(self) -> None:
        """Clear the controller's error after a person has looked; an e-stop stays latched."""
        self.arm.recover()
        self._begin_anew()

    def disconnect(self) -> None:
        """Stop, end the watchdog and let go of the arm; callable twice."""
        self._watchdog.end()
        self._path = self._measured = self._gripper_target = None
        self.arm.disconnect()

    # The e-stop.

    def estop(self, reason: str = "e-stop") -> None:
        """Latch the e-stop and stop the arm, from any thread."""
        self._estop = self._estop or reason or "e-stop"
        self._note(Kind.ESTOP, None, None, now_s=self._clock(), detail=self._estop)
        self.stop()

    def release(self) -> None:
        """Unlatch the e-stop after a person has confirmed it; then a soft start."""
        self._begin_anew()
        self._estop = ""

    # Inside.

    def _step(self, command: Command | None, held: Hold | None, *, now_s: float) -> Command | None:
        with self._lock:
            if (command is None or held) and self._is_away():
                self._stop_arm()  # pushed away while held: it is not driven back, but begins anew
                self._note(Kind.LEAD, command, None, now_s=now_s, detail="pushed away")
                return self._where_it_is(now_s=now_s)
            if self._path is not None and (ends := self._runs_into_an_end(now_s=now_s)):
                self._stop_arm()  # whatever was sent: the joints are not where it says
                self._note(Kind.JOINT_POSITION, command, None, now_s=now_s, detail=ends)
                return self._where_it_is(now_s=now_s)
            if self._path is None and held is None:
                held = self._why_not_begin(now_s=now_s)
            if self._estop:
                held = Kind.ESTOP, self._estop
            if self._estop or (self._path is None and self._why_not_begin(now_s=now_s)):
                sent, causes = self._where_it_is(now_s=now_s), frozenset()
            else:
                sent, causes = self._advance(command, held, now_s=now_s)
        self._account(command, sent, causes, held, now_s=now_s)
        return sent

    def _advance(
        self, command: Command | None, held: Hold | None, *, now_s: float
    ) -> tuple[Command, frozenset[Kind]]:
        before = self._path or self._begun(now_s=now_s)
        asked, kinds = (None, set()) if held or command is None else self._asked(command)
        after, causes = advance(before, asked, now_s=now_s, rules=self._rules)
        self._path = after
        if after is not before or self._sent is None:  # else it was early: nothing new to send
            self._watchdog.feed(now_s)
            decided_s = now_s if command is None or held else command.time_s
            self._sent = self._sent_on(_command(after, time_s=decided_s))
            self._gripper_target = after.gripper
        return self._sent, frozenset(kinds | {Kind(cause.value) for cause in causes})

    def _sent_on(self, command: Command) -> Command:
        try:
            return self.arm.send(command)
        except BaseException:
            self._begin_anew()  # nobody knows what the arm got of it
            raise

    def _asked(self, command: Command) -> tuple[Asked, set[Kind]]:
        """Return what a well-formed command asks for, at most `max_lead` from the measured pose."""
        assert self._measured is not None, "held: no state"
        measured = _measured_pose(self._measured)
        pose = Pose(
            position=np.clip(np.asarray(command.ee_position, np.float64), -FAR_M, FAR_M),
            rotation=orthonormal(np.asarray(command.ee_rotation, np.float64)),
        )
        ahead = difference(pose, measured)
        lead = np.array([self.limits.max_lead_m, self.limits.max_lead_rad])
        kinds = set()
        if (norms(ahead) > lead).any():
            pose = move(measured, shortened(ahead, lead))
            kinds = {Kind.LEAD}
        joints = np.asarray(self._measured.joint_position, np.float64)
        return Asked(pose=pose, gripper=float(command.gripper_target), joints=joints), kinds

    def _is_away(self) -> bool:
        """Return whether the arm, at rest, is farther from what was sent than a command may lead
        it.
        """
        path = self._path
        if path is None or not path.at_rest or self._measured is None:
            return False
        if self._why_not_measured(now_s=self._clock()) is not None:
            return False
        away = difference(path.at.pose, _measured_pose(self._measured))
        return bool((norms(away) > (self.limits.max_lead_m, self.limits.max_lead_rad)).any())

    def _runs_into_an_end(self, *, now_s: float) -> str:
        """Return which measured joint is about to hit the end of its range, "" where none is. The
        path keeps the joints that it predicts; a redundant arm may have got into others.
        """
        if self._measured is None or self._why_not_measured(now_s=now_s) is not None:
            return ""
        joints, speed = self.features.joints, np.asarray(self._measured.joint_velocity, np.float64)
        at = np.asarray(self._measured.joint_position, np.float64)
        room = np.where(speed > 0, joints.high - at, at - joints.low)
        found = np.flatnonzero((np.abs(speed) > END_SPEED) & (room < np.abs(speed) * END_AHEAD_S))
        if not len(found):
            return ""
        name, k = self.features.joint_names[found[0]], found[0]
        return f"{name} moves at {abs(speed[k]):.1f} rad/s, {room[k]:.2f} rad before its end"

    def _gripper(self) -> float:
        """Return the gripper's target where a path begins: the last one that was sent, because a
        hand on an object is not where it was told to go; its opening before any was.
        """
        assert self._measured is not None, "held: no state"
        target = self._gripper_target
        if target is None:
            target = self._measured.gripper_opening
        return min(max(float(target), 0.0), 1.0)

    def _begun(self, *, now_s: float) -> PathState:
        assert self._measured is not None, "held: no state"
        return begin(
            _measured_pose(self._measured),
            joints=np.asarray(self._measured.joint_position, np.float64),
            gripper=self._gripper(),
            now_s=now_s,
        )

    def _why_hold(self, command: Command, seen: Seen | None, *, now_s: float) -> Hold | None:
        return (
            malformed(command)
            or stale(Kind.STALE_COMMAND, command.time_s, self.limits.max_command_age_s, now_s)
            or self._why_not_measured(now_s=now_s)
            or (None if seen is None else why_unseen(seen, self.limits, now_s=now_s))
        )

    def _why_not_measured(self, *, now_s: float) -> Hold | None:
        state = self._measured
        if state is None:
            return Kind.STALE_STATE, "none was measured yet"
        return bad_state(state, joints=len(self.features.joint_names)) or stale(
            Kind.STALE_STATE, state.time_s, self.limits.max_state_age_s, now_s
        )

    def _why_not_begin(self, *, now_s: float) -> Hold | None:
        """Return why no path can begin at the measured state."""
        if (held := self._why_not_measured(now_s=now_s)) is not None:
            return held
        state = self._measured
        assert state is not None, "measured"
        if state.time_s < self._begin_after_s:
            return Kind.STALE_STATE, "measured before the arm was stopped"
        if ends := self._runs_into_an_end(now_s=now_s):
            return Kind.JOINT_POSITION, ends
        at = pose_at(self.arm.forward, np.asarray(state.joint_position, np.float64))
        apart_m = float(np.linalg.norm(at.position - state.ee_position))
        if apart_m > self.limits.max_reach_error_m:
            return Kind.BAD_STATE, (
                f"the measured pose is {apart_m * 1000:.0f} mm from where the measured joints put "
                "the end effector: check the tool frame of the controller"
            )
        return None

    def _where_it_is(self, *, now_s: float) -> Command | None:
        """Return what stands for a command where none is sent: the measured pose."""
        state = self._measured
        if state is None or bad_state(state, joints=len(self.features.joint_names)):
            return self._sent
        pose = _measured_pose(state)
        return Command(
            ee_position=pose.position,
            ee_rotation=pose.rotation,
            gripper_target=float(state.gripper_opening),
            time_s=now_s,
        )

    def _begin_anew(self) -> None:
        self._begin_after_s = self._clock()
        self._path = None

    def _stop_arm(self) -> None:
        # A driver that hangs in `send` holds the lock: it must not keep the arm from stopping.
        locked = self._lock.acquire(timeout=self.features.control_dt_s)
        try:
            self._begin_anew()
            self.arm.stop()
            self._begin_anew()  # what was measured meanwhile was measured in motion
        finally:
            if locked:
                self._lock.release()

    def _on_overdue(self, late_s: float) -> None:
        detail = f"no command for {late_s * 1000:.0f} ms"
        try:
            self._stop_arm()
        except Exception as error:  # a thread has no caller: what reads `recent` is to see it
            detail += f"; the arm did not stop: {error}"
        self._note(Kind.WATCHDOG, None, None, now_s=self._clock(), detail=detail)

    def _account(
        self,
        command: Command | None,
        sent: Command | None,
        causes: frozenset[Kind],
        held: Hold | None,
        *,
        now_s: float,
    ) -> None:
        if held is not None:
            self._note(held[0], command, sent, now_s=now_s, detail=held[1])
        for kind in sorted(causes):
            self._note(kind, command, sent, now_s=now_s)

    def _note(
        self,
        kind: Kind,
        asked: Command | None,
        sent: Command | None,
        *,
        now_s: float,
        detail: str = "",
    ) -> None:
        self._ledger.add(
            Intervention(kind=kind, time_s=now_s, asked=asked, sent=sent, detail=detail)
        )


def _command(path: PathState, *, time_s: float) -> Command:
    pose = path.at.pose
    return Command(
        ee_position=pose.position.copy(),
        ee_rotation=pose.rotation.copy(),
        gripper_target=path.gripper,
        time_s=time_s,
    )


def _measured_pose(state: ArmState) -> Pose:
    return Pose(
        position=np.asarray(state.ee_position, np.float64),
        rotation=orthonormal(np.asarray(state.ee_rotation, np.float64)),
    )
