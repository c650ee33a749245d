"""Random and adversarial sequences of commands and states through the safety layer, and an
independent check of what was sent.

`python -m tests.hardware.sequences 100000` runs that many on all cores and prints how close each
limit was reached; exit code 1 where one was exceeded. A second number is the first seed.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from robot.hardware.arm import ArmError, ArmState, Command
from robot.hardware.holding import Seen
from robot.hardware.interventions import Kind
from robot.hardware.kinematics import rotation_matrix, rotation_vector
from robot.hardware.limits import SafetyLimits
from robot.hardware.safety import SafeArm
from robot.types import MaskStatus
from tests.hardware.arms import DT_S, KINEMATICS, Clock, PerfectArm, limits

ROUNDING = 1e-6  # relative: differences of rounded positions, three times divided by 0.05 s
GAP_S = 1.5 * DT_S  # after which the arm stands, by the layer's own words


@dataclass(frozen=True)
class Event:
    """One turn of a loop: time passes, a state is measured, a command is asked for."""

    dt_s: float
    state: str  # follows, noisy, elsewhere, frozen, nan, none
    call: str  # send, hold, stop, estop, release
    asked: Command
    joints: np.ndarray  # measured where the state is `elsewhere`
    seen: Seen | None = None


@dataclass(frozen=True)
class Sequence:
    kind: str  # of arm
    limits: SafetyLimits
    start: np.ndarray  # joints
    events: tuple[Event, ...]


@dataclass
class Sent:
    """What reached the arm: a path of its own after every beginning."""

    begun: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    paths: list[list[tuple[float, Command, np.ndarray]]] = field(default_factory=list)


def variants() -> list[SafetyLimits]:
    """Return limits from gentle to fast, with wide and narrow boxes."""
    base = limits(soft_start_s=0.3, max_lead_m=0.3, max_lead_rad=1.5)
    return [
        base,
        replace(base, max_jerk_m_s3=8.0, max_jerk_rad_s3=25.0),
        replace(base, max_acceleration_m_s2=0.7, max_acceleration_rad_s2=2.0),
        replace(base, max_speed_m_s=1.5, max_step_m=0.05, max_speed_rad_s=4.0, max_step_rad=0.4),
        replace(base, workspace_low_m=(0.45, -0.1, 0.2), workspace_high_m=(0.55, 0.1, 0.45)),
        replace(base, workspace_low_m=(-1.0, -1.0, -1.0), workspace_high_m=(1.0, 1.0, 1.0)),
        replace(base, joint_velocity_fraction=0.2, joint_margin_rad=0.1),
        replace(base, soft_start_s=0.01, max_lead_m=5.0, max_lead_rad=6.0),
    ]


VARIANTS = variants()


def draw(rng: np.random.Generator) -> Sequence:
    """Return one sequence; every kind of trouble has a fair chance."""
    kind = "gantry" if rng.random() < 0.9 else "panda"
    joints = KINEMATICS[kind][1]
    start = rng.uniform(joints.low, joints.high)
    if kind == "panda":  # near home: elsewhere its box is rarely met
        start = np.clip(KINEMATICS[kind][2] + rng.normal(0, 0.3, 7), joints.low, joints.high)
    moods = [_MOODS[int(k)] for k in rng.integers(len(_MOODS), size=3)]
    states = rng.choice(["follows", "noisy", "elsewhere"], p=[0.6, 0.25, 0.15])
    direction = rng.normal(size=3)
    events = tuple(
        _event(rng, k, mood=moods[(3 * k) // 24 % 3], states=str(states), direction=direction,
               joints=rng.uniform(joints.low, joints.high))
        for k in range(int(rng.integers(6, 24)))
    )  # fmt: skip
    return Sequence(
        kind=kind, limits=VARIANTS[int(rng.integers(len(VARIANTS)))], start=start, events=events
    )


_MOODS = ("far", "alternating", "huge", "near", "box", "turning", "broken", "corner")
_TIMES = (0.0, 1e-3, 0.3 * DT_S, 0.6 * DT_S, 1.4 * DT_S, 2 * DT_S, 0.3, 3600.0, -0.01)


def _event(
    rng: np.random.Generator,
    k: int,
    *,
    mood: str,
    states: str,
    direction: np.ndarray,
    joints: np.ndarray,
) -> Event:
    dt_s = DT_S * float(rng.uniform(0.9, 1.1)) if rng.random() < 0.4 else DT_S
    if rng.random() < 0.08:
        dt_s = _TIMES[int(rng.integers(len(_TIMES)))]
    state, call = states, "send"
    if rng.random() < 0.04:
        state = ("frozen", "nan", "none")[int(rng.integers(3))]
    if rng.random() < 0.06:
        call = ("hold", "stop", "estop", "release")[int(rng.integers(4))]
    seen = None
    if rng.random() < 0.03:
        seen = Seen(mask_status=MaskStatus.ABSENT)
    return Event(
        dt_s=dt_s,
        state=state,
        call=call,
        asked=_asked(rng, k, mood=mood, direction=direction),
        joints=joints,
        seen=seen,
    )


def _asked(rng: np.random.Generator, k: int, *, mood: str, direction: np.ndarray) -> Command:
    """Return a command; `time_s` NaN stands for now."""
    position = np.array([0.5, 0.0, 0.3]) + 0.1 * direction
    rotation = rotation_matrix(0.3 * direction)
    match mood:
        case "far":
            position = 10.0 * direction
        case "alternating":
            position, rotation = (-1) ** k * direction, rotation_matrix((-1) ** k * direction)
        case "huge":
            position = direction * 10.0 ** float(rng.uniform(0, 300))
        case "near":
            position = position + rng.normal(0, 0.01, 3)
        case "box":
            position = rng.uniform([0.2, -0.5, 0.0], [0.8, 0.5, 0.6])
        case "turning":
            rotation = rotation_matrix(rng.normal(size=3) * float(rng.uniform(0, 3.2)))
        case "broken":
            position = np.where(rng.random(3) < 0.3, math.nan, position)
            if rng.random() < 0.3:
                rotation = rng.normal(size=(3, 3))
        case "corner":
            position = np.sign(direction) * (0.76, 0.41, 0.61)
    gripper = float(rng.choice([0.0, 1.0, -3.0, math.nan, 0.5], p=[0.4, 0.4, 0.1, 0.02, 0.08]))
    return Command(
        ee_position=position, ee_rotation=rotation, gripper_target=gripper, time_s=math.nan
    )


class _Arm(PerfectArm):
    """Is where it was sent, and tells what the sequence says it measured."""

    event: Event | None = None
    last: ArmState | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rng = np.random.default_rng(0)  # of its own: a seed says all of a sequence

    def send(self, command: Command) -> Command:
        self.sent.append(command)
        return command

    def read(self) -> ArmState:
        state, event = super().read(), self.event
        if event is None or event.state == "follows":
            self.last = state
        elif event.state == "noisy":
            noisy = state.joint_position + self.rng.normal(0, 0.005, len(self.joints))
            self.last = self._measured(noisy)
        elif event.state == "elsewhere":
            self.last = self._measured(event.joints)
        elif event.state == "nan":
            self.last = replace(state, ee_position=np.full(3, math.nan))
        self.last = self.last or state  # a frozen one needs one to freeze
        return self.last

    def _measured(self, joints: np.ndarray) -> ArmState:
        position, rotation = self.forward(joints)
        return replace(
            super().read(), joint_position=joints, ee_position=position, ee_rotation=rotation
        )


def run(sequence: Sequence) -> tuple[Sent, SafeArm]:
    """Play a sequence and return all that reached the arm."""
    clock = Clock()
    arm = _Arm(clock, kind=sequence.kind)
    arm.joints = sequence.start.copy()
    safe = SafeArm(arm, sequence.limits, clock=clock)
    safe._watchdog.feed = lambda now_s: None  # no thread: time is the sequence's
    safe.connect()
    sent = Sent()
    for event in sequence.events:
        _play(safe, arm, clock, event, sent)
    return sent, safe


def _play(safe: SafeArm, arm: _Arm, clock: Clock, event: Event, sent: Sent) -> None:
    clock.pass_(event.dt_s)
    arm.event = event
    if event.state != "none" or safe._measured is None:
        safe.read()
    begins, before = safe.path is None, len(arm.sent)
    match event.call:
        case "send":
            try:
                safe.send(replace(event.asked, time_s=clock()), seen=event.seen)
            except ArmError:  # no state was ever good
                assert not arm.sent
        case "hold":
            safe.hold()
        case "stop":
            safe.stop()
        case "estop":
            safe.estop()
        case "release":
            safe.release()
    if begins and safe.path is not None:
        state = safe._measured
        sent.begun.append((clock(), state.ee_position, state.ee_rotation, state.joint_position))
        sent.paths.append([])
    if len(arm.sent) > before:
        sent.paths[-1].append((clock(), arm.sent[-1], safe.path.at.joints))
        arm.joints = safe.path.at.joints  # follows as predicted; `check` solves for itself


def check(sequence: Sequence, sent: Sent) -> dict[str, float]:
    """Return per limit the largest share of it that was used; above 1 it was exceeded."""
    used: Counter[str] = Counter()
    for begun, path in zip(sent.begun, sent.paths, strict=True):
        if path:
            for name, share in _shares(sequence, begun, path).items():
                used[name] = max(used[name], share)
    return dict(used)


def _shares(sequence: Sequence, begun, path) -> dict[str, float]:
    bounds = sequence.limits
    time_s = np.array([begun[0], *(t for t, _, _ in path)])
    position = np.stack([begun[1], *(c.ee_position for _, c, _ in path)])
    rotations = [begun[2], *(c.ee_rotation for _, c, _ in path)]
    predicted = np.stack([begun[3], *(q for _, _, q in path)])
    gripper = np.array([c.gripper_target for _, c, _ in path])
    turn = np.stack(
        [rotation_vector(b @ a.T) for a, b in zip(rotations[:-1], rotations[1:], strict=True)]
    )
    late = np.diff(time_s) > GAP_S
    shares = {
        "step m": _longest(np.diff(position, axis=0)) / bounds.max_step_m,
        "step rad": _longest(turn) / bounds.max_step_rad,
        "gripper": float(np.abs(np.diff(gripper)).max(initial=0.0))
        / (bounds.gripper_speed_1_s * DT_S),
        "box": 1.0 + _beyond(position, bounds.workspace_low_m, bounds.workspace_high_m),
        "outside": _outside_share(position, bounds),
        "rate": _rate(time_s[1:]),
    }
    for unit, steps, names in (
        ("m", np.diff(position, axis=0), ("speed_m_s", "acceleration_m_s2", "jerk_m_s3")),
        ("rad", turn, ("speed_rad_s", "acceleration_rad_s2", "jerk_rad_s3")),
    ):
        derivatives = _derivatives(steps, late)
        for name, values in zip(names, derivatives, strict=True):
            shares[f"{name.split('_')[0]} {unit}"] = _longest(values) / getattr(
                bounds, f"max_{name}"
            )
    return shares | _joint_shares(sequence, position, rotations, predicted, late)


def _derivatives(steps: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return velocity, acceleration and jerk per step, from rest at first and after a gap."""
    velocity, acceleration, jerk = steps / DT_S, np.zeros_like(steps), np.zeros_like(steps)
    v, a = np.zeros(3), np.zeros(3)
    for k in range(len(steps)):
        if late[k]:
            v, a = np.zeros(3), np.zeros(3)
        acceleration[k] = (velocity[k] - v) / DT_S
        jerk[k] = (acceleration[k] - a) / DT_S
        v, a = velocity[k], acceleration[k]
    return velocity, acceleration, jerk


def _joint_shares(sequence: Sequence, position, rotations, predicted, late) -> dict[str, float]:
    """Return how much of the vendor's joint limits was used: by exact inverse kinematics of the
    gantry, by the predicted joints of the redundant arm, whose pose is compared.
    """
    forward, joints, _ = KINEMATICS[sequence.kind]
    if sequence.kind == "gantry":
        path = np.stack([_gantry_joints(p, r) for p, r in zip(position, rotations, strict=True)])
    else:
        path = predicted
    reached = np.stack([forward(q)[0] for q in predicted])
    error = np.linalg.norm(reached - position, axis=1).max()
    speed = np.abs(np.diff(path, axis=0)) / DT_S / joints.velocity
    return {
        "joint position": 1.0 + _beyond(path, joints.low, joints.high),
        "joint speed": float(speed.max(initial=0.0)),
        "reach": float(error) / sequence.limits.max_reach_error_m,
    }


def _gantry_joints(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    yaw = math.atan2(rotation[1, 0], rotation[0, 0])
    pitch = -math.asin(max(-1.0, min(1.0, rotation[2, 0])))
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    return np.array([*position, yaw, pitch, roll])


def _longest(steps: np.ndarray) -> float:
    return float(np.linalg.norm(steps, axis=1).max(initial=0.0))


def _beyond(path: np.ndarray, low, high) -> float:
    """Return the furthest step beyond bounds, or outside of them further out; negative inside."""
    before, after = path[:-1], path[1:]
    over = np.maximum(after - np.maximum(high, before), np.minimum(low, before) - after)
    return float(over.max(initial=-1.0))


def _outside_share(position: np.ndarray, bounds: SafetyLimits) -> float:
    """Return the speed outside of the box as a share of what is allowed there."""
    low, high = bounds.workspace_low_m, bounds.workspace_high_m
    outside = ((position < low) | (position > high)).any(axis=1)[:-1]
    steps = np.linalg.norm(np.diff(position, axis=0), axis=1)
    allowed = bounds.recovery_speed * min(bounds.max_speed_m_s, bounds.max_step_m / DT_S)
    return float((steps * outside).max(initial=0.0)) / (allowed * DT_S)


def _rate(time_s: np.ndarray) -> float:
    """Return commands beyond one per period, as a share of the half that jitter may bring."""
    ahead, worst = 0.0, 0.0
    for gap in np.diff(time_s):
        ahead = max(0.0, ahead + DT_S - gap)
        worst = max(worst, ahead)
    return worst / (0.5 * DT_S)


def exceeded(used: dict[str, float]) -> dict[str, float]:
    """Return the limits that were exceeded by more than rounding."""
    return {name: share for name, share in used.items() if share > 1 + ROUNDING}


def run_many(seeds: Iterable[int]) -> tuple[dict[str, float], Counter, int, list[str]]:
    """Run a sequence per seed; return shares, interventions, commands sent and what failed."""
    used: Counter[str] = Counter()
    counts: Counter[Kind] = Counter()
    commands, failed = 0, []
    for seed in seeds:
        sequence = draw(np.random.default_rng(seed))
        sent, safe = run(sequence)
        found = check(sequence, sent)
        for name, share in found.items():
            used[name] = max(used[name], share)
        counts.update(safe.interventions)
        commands += sum(len(path) for path in sent.paths)
        if bad := exceeded(found):
            failed.append(f"seed {seed}: {bad}")
    return dict(used), counts, commands, failed


def main(count: int, first: int = 0) -> int:
    """Run `count` sequences and print what they reached."""
    from multiprocessing import get_context

    began, chunk = time.perf_counter(), 500
    used: Counter[str] = Counter()
    counts: Counter[Kind] = Counter()
    commands, failed = 0, []
    end = first + count
    chunks = [range(k, min(k + chunk, end)) for k in range(first, end, chunk)]
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        for shares, kinds, sent, bad in pool.imap_unordered(run_many, chunks):
            for name, share in shares.items():
                used[name] = max(used[name], share)
            counts.update(kinds)
            commands += sent
            failed += bad
    print(f"{count} sequences, {commands} commands sent, {time.perf_counter() - began:.0f} s")
    for name, share in sorted(used.items()):
        print(f"  {name:16} {share:.6f} of its limit")
    print("  " + ", ".join(f"{kind.value} {n}" for kind, n in sorted(counts.items())))
    for line in failed[:20]:
        print(line)
    print(f"{len(failed)} sequences left a limit")
    return int(bool(failed))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(*map(int, sys.argv[1:] or ["100000"])))
