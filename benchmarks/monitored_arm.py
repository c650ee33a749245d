"""Between the safety layer and a driver: an independent look at what was sent, and the faults of a
link. For tests and benchmarks, which have to know what a layer really let through.
"""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from robot.hardware.arm import Arm, ArmState, Command
from robot.hardware.limits import SafetyLimits

ROUNDING = 1e-6


@dataclass
class Link:
    """What the link to a driver does to commands and states."""

    dropped: float = 0.0  # share of the commands that are lost
    doubled: bool = False  # every command arrives twice
    jitter_s: float = 0.0  # states are up to that much older
    bad_state: bool = False  # the joints are not numbers
    rng: random.Random = field(default_factory=lambda: random.Random(0))


class MonitoredArm:
    """An arm whose commands and states are checked against its limits, by rules of its own."""

    def __init__(self, arm: Arm, limits: SafetyLimits, link: Link | None = None) -> None:
        self.arm, self.limits, self.link = arm, limits, link or Link()
        self.features = arm.features
        self.forget()

    def forget(self) -> None:
        """Begin a new count."""
        self.largest_step_m = self.largest_lead_m = 0.0
        self.violations: list[str] = []
        self.speeds: deque[tuple[float, float]] = deque(maxlen=100_000)  # (time, rad/s)
        self.sent_s: deque[float] = deque(maxlen=100_000)
        self._last: Command | None = None
        self._state: ArmState | None = None
        self._states: deque[ArmState] = deque(maxlen=200)

    def connect(self) -> None:
        self.arm.connect()

    def read(self) -> ArmState:
        state = self.arm.read()
        self._state = state
        self._states.append(state)
        self.speeds.append((state.time_s, float(np.abs(state.joint_velocity).max())))
        self._check_state(state)
        if self.link.jitter_s:
            oldest = state.time_s - self.link.rng.uniform(0, self.link.jitter_s)
            state = next(
                s for s in reversed(self._states) if s.time_s <= oldest or s is self._states[0]
            )
        if self.link.bad_state:
            nan = np.full_like(state.joint_position, np.nan)
            state = ArmState(**{**vars(state), "joint_position": nan})
        return state

    def send(self, command: Command) -> Command:
        self._check(command)
        self.sent_s.append(time.monotonic())
        if self.link.rng.random() >= self.link.dropped:
            self.arm.send(command)
            if self.link.doubled:
                self.arm.send(command)
        return command

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.arm.forward(joints)

    def stop(self) -> None:
        self._last = None  # the path begins anew, where the arm is
        self.arm.stop()

    def recover(self) -> None:
        self.arm.recover()

    def disconnect(self) -> None:
        self.arm.disconnect()

    def _check(self, command: Command) -> None:
        position, limits = command.ee_position, self.limits
        finite = np.isfinite(position).all() and np.isfinite(command.ee_rotation).all()
        if not finite or not 0 - ROUNDING <= command.gripper_target <= 1 + ROUNDING:
            self.violations.append(f"not a pose: {position}, gripper {command.gripper_target}")
            return
        low, high = np.array(limits.workspace_low_m), np.array(limits.workspace_high_m)
        outside = np.maximum(low - position, position - high).max()
        if outside > ROUNDING:
            self.violations.append(f"{1e3 * outside:.1f} mm outside of the box")
        if self._state is not None:
            lead = float(np.linalg.norm(position - self._state.ee_position))
            self.largest_lead_m = max(self.largest_lead_m, lead)
        if self._last is not None:
            step = float(np.linalg.norm(position - self._last.ee_position))
            self.largest_step_m = max(self.largest_step_m, step)
            if step > limits.max_step_m + ROUNDING:
                self.violations.append(f"a step of {1e3 * step:.1f} mm")
        self._last = command

    def _check_state(self, state: ArmState) -> None:
        joints = self.features.joints
        beyond = np.maximum(joints.low - state.joint_position, state.joint_position - joints.high)
        if beyond.max() > ROUNDING:
            self.violations.append(
                f"joint {beyond.argmax() + 1} {beyond.max():.3f} rad beyond its range"
            )
        fast = (np.abs(state.joint_velocity) / joints.velocity).max()
        if fast > 1:
            self.violations.append(f"a joint at {100 * fast:.0f} % of its speed")
