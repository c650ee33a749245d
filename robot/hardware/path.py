"""The core of the safety layer: (state, asked, time) -> (state, causes), pure and without a clock.

Invariant: every state carries `braking`, waypoints to rest that were checked against every limit.
A step goes to a new waypoint only if a checked way to rest leads on from there; otherwise it takes
the next waypoint of the old one. So the sent sequence keeps its limits whatever is asked, and a
hold is always at hand. (Fail-safe motions: Kiemel and Kroeger 2021, arXiv 2108.01663.)

Limits hold in path time, which passes by one control period per sent command and never runs ahead
of the clock by more than half a period. A command that is late finds the path at rest: so does the
arm, whose controller got no new target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

import numpy as np
from jaxtyping import Float64

from robot.hardware.arm import JointLimits
from robot.hardware.braking import (
    Braking,
    Motion,
    PathLimits,
    braking_speed,
    landing,
    norms,
    shortened,
    within,
)
from robot.hardware.kinematics import (
    Forward,
    Joints,
    Pose,
    Twist,
    difference,
    jacobian,
    orthonormal,
    pose_at,
    rotation_matrix,
    weighted_inverse,
)
from robot.hardware.limits import SafetyLimits

EARLY_PERIODS = 0.5  # how far path time may run ahead of the clock
LATE_PERIODS = 1.5  # a gap after which the arm has come to rest
HALVINGS = 3  # of the search for the largest change that is safe
EDGE_M = 1e-6  # asked poses are clamped this far inside of the box: rounding stays within it
FEEDBACK = 0.2  # share of the distance between pose and predicted joints that a step corrects
FOLLOW = 0.1  # share of the way to the measured joints that a redundant arm takes per step,
# and of its joints' speed
NEAR_SPEED = 0.5  # of a joint's limit, above which its path is computed exactly
NEAR_RANGE = 0.1  # of a joint's range from its ends, likewise
STRAIGHT_RAD = 0.05  # how far joints may move until their Jacobian is computed again
SAME_M = 1e-4  # sent poses closer than this to what was asked count as unchanged
SAME_RAD = 1e-3


class Cause(str, Enum):
    """Why a command was not sent as it was asked."""

    EARLY = "early"  # before its time: the last one was repeated
    LATE = "late"  # after a gap: the path began anew, from rest
    BOX = "box"
    SPEED = "speed"  # the step, too
    SMOOTH = "smooth"  # acceleration, jerk and the way to rest
    SOFT_START = "soft_start"
    RECOVERY = "recovery"  # outside of the box
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    REACH = "reach"
    GRIPPER = "gripper"


@dataclass(frozen=True)
class Waypoint:
    """A pose on the path, what moves there, and the joints that are predicted for it."""

    pose: Pose
    motion: Motion
    joints: Joints


@dataclass(frozen=True)
class PathState:
    """What was sent last, and the checked way to rest from there."""

    at: Waypoint
    braking: tuple[Waypoint, ...]
    gripper: float
    sent_s: float  # when
    due_s: float  # when the next command is due
    ramp_s: float  # when the soft start began

    @property
    def at_rest(self) -> bool:
        return not self.braking


@dataclass(frozen=True)
class Asked:
    """A finite pose and gripper target, and the joints that were measured."""

    pose: Pose
    gripper: float
    joints: Joints


@dataclass(frozen=True)
class Rules:
    """What the path of one arm has to keep."""

    limits: SafetyLimits
    braking: Braking
    low: Joints  # rad, with the margin
    high: Joints
    near: Joints  # from these ends on, joints are computed exactly
    joint_speed: Joints  # rad/s, the allowed fraction
    forward: Forward
    dt_s: float

    @staticmethod
    def of(limits: SafetyLimits, *, joints: JointLimits, forward: Forward, dt_s: float) -> Rules:
        """Combine the limits of a place with those of an arm."""
        margin = np.minimum(limits.joint_margin_rad, (joints.high - joints.low) / 4)
        return Rules(
            limits=limits,
            braking=_braking(limits, dt_s),
            low=joints.low + margin,
            high=joints.high - margin,
            near=NEAR_RANGE * (joints.high - joints.low),
            joint_speed=joints.velocity * limits.joint_velocity_fraction,
            forward=forward,
            dt_s=dt_s,
        )


@cache
def _braking(limits: SafetyLimits, dt_s: float) -> Braking:
    """Make the matrices once: up to some hundred small pseudo-inverses."""
    return Braking.of(PathLimits.of(limits, dt_s=dt_s), dt_s=dt_s)


def begin(pose: Pose, *, joints: Joints, gripper: float, now_s: float) -> PathState:
    """Return the state of an arm at rest."""
    at = Waypoint(pose=pose, motion=np.zeros((2, 6)), joints=joints)
    return PathState(at=at, braking=(), gripper=gripper, sent_s=now_s, due_s=now_s, ramp_s=now_s)


def advance(
    state: PathState, asked: Asked | None, *, now_s: float, rules: Rules
) -> tuple[PathState, frozenset[Cause]]:
    """Return the next state, whose pose is to be sent, and why it is not what was asked.

    `asked` None holds: the arm brakes to rest within its limits, and stays.
    """
    dt = rules.dt_s
    if now_s < state.due_s - EARLY_PERIODS * dt:
        return state, frozenset({Cause.EARLY})

    causes: set[Cause] = set()
    late = now_s > state.sent_s + LATE_PERIODS * dt
    if late and not state.at_rest:
        state = _rested(state)
        causes.add(Cause.LATE)
    state = replace(state, sent_s=now_s, due_s=max(now_s, state.due_s) + dt)

    if asked is None:
        return replace(_braked(state), ramp_s=now_s), frozenset(causes)
    moved, why = _follow(state, asked, now_s=now_s, rules=rules)
    gripper, limited = _grip(state.gripper, asked.gripper, rules=rules)
    return replace(moved, gripper=gripper), frozenset(causes | why | limited)


def in_box(pose: Pose, limits: SafetyLimits, *, edge_m: float = 0.0) -> Pose:
    """Return a pose whose position is clamped into the workspace."""
    low = np.array(limits.workspace_low_m) + edge_m
    high = np.array(limits.workspace_high_m) - edge_m
    return replace(pose, position=np.clip(pose.position, low, high))


def is_outside(position: np.ndarray, limits: SafetyLimits) -> bool:
    """Return whether a position is outside of the workspace."""
    return bool(
        (position < limits.workspace_low_m).any() or (position > limits.workspace_high_m).any()
    )


def allowed_speed(
    state: PathState, *, now_s: float, rules: Rules
) -> tuple[Float64[np.ndarray, "2"], Cause]:
    """Return the speeds that are allowed now, and what lowers them."""
    limits, full = rules.limits, rules.braking.limits.speed
    begun = (now_s - state.ramp_s) / limits.soft_start_s
    ramp = min(1.0, limits.soft_start_speed + (1 - limits.soft_start_speed) * max(begun, 0.0))
    if is_outside(state.at.pose.position, limits) and limits.recovery_speed <= ramp:
        return full * limits.recovery_speed, Cause.RECOVERY
    return full * ramp, Cause.SOFT_START if ramp < 1 else Cause.SPEED


def _follow(
    state: PathState, asked: Asked, *, now_s: float, rules: Rules
) -> tuple[PathState, set[Cause]]:
    goal = in_box(asked.pose, rules.limits, edge_m=EDGE_M)
    clamped = np.abs(goal.position - asked.pose.position).max() > 2 * EDGE_M
    causes = {Cause.BOX} if clamped else set()

    wanted = difference(goal, state.at.pose)
    speed, slowed_by = allowed_speed(state, now_s=now_s, rules=rules)
    chosen, why = _largest_safe(state, wanted, speed=speed, asked=asked, rules=rules)
    moved = (
        replace(state, at=chosen[0], braking=chosen[1:]) if chosen is not None else _braked(state)
    )

    missing = norms(difference(goal, moved.at.pose))
    if (missing > (SAME_M, SAME_RAD)).any():
        too_far = (norms(wanted) > speed * rules.dt_s).any()
        causes |= why | {slowed_by if too_far else Cause.SMOOTH}
    return moved, causes


def _largest_safe(
    state: PathState, wanted: Twist, *, speed: np.ndarray, asked: Asked, rules: Rules
) -> tuple[tuple[Waypoint, ...] | None, set[Cause]]:
    """Return the waypoints of the largest change towards `wanted` that is safe, or None, and why it
    is not the whole change.
    """
    brake = state.braking[0].motion[1] if state.braking else np.zeros(6)
    towards = _acceleration(state.at.motion, wanted, speed=speed, rules=rules)
    pull = _Pull(state.at, asked.joints, rules=rules)
    best, causes, low, high, share = None, set(), 0.0, 1.0, 1.0
    for _ in range(1 + HALVINGS):
        acceleration = brake + share * (towards - brake)
        found = _checked(state, acceleration, share=share, speed=speed, pull=pull, rules=rules)
        if isinstance(found, Cause):
            causes, high = {found}, share
        else:
            best, low = found, share
        if low == 1.0:
            break
        share = (low + high) / 2
    return best, causes


def _acceleration(motion: Motion, wanted: Twist, *, speed: np.ndarray, rules: Rules) -> Twist:
    """Return the acceleration of the next step that leads to `wanted`, within jerk and
    acceleration limits.
    """
    path, dt = rules.braking.limits, rules.dt_s
    length = norms(wanted)
    size = np.minimum(speed, braking_speed(length, path, dt_s=dt))
    velocity = wanted * np.repeat(size / np.maximum(length, 1e-300), 3)
    ideal = landing(velocity - motion[0], path, dt_s=dt)
    change = shortened(ideal - motion[1], path.jerk * dt)
    return motion[1] + change


def _checked(
    state: PathState,
    acceleration: Twist,
    *,
    share: float,
    speed: np.ndarray,
    pull: _Pull,
    rules: Rules,
) -> tuple[Waypoint, ...] | Cause:
    """Return the next waypoint and those of the stop after it, or the limit that one breaks."""
    velocity = state.at.motion[0] + acceleration * rules.dt_s
    first: Motion = np.stack([velocity, acceleration])
    stop = rules.braking.stop(first)
    if stop is None:
        return Cause.SMOOTH
    motions = np.concatenate([first[None], stop])
    if not within(norms(motions[:, 0]), speed).all():
        return Cause.SPEED

    twists = motions[:, 0] * rules.dt_s
    path = np.cumsum(np.concatenate([state.at.pose.position[None], twists[:, :3]]), axis=0)
    if _leaves_box(path, rules.limits):
        return Cause.BOX
    poses = _poses(state.at.pose, path[1:], twists[:, 3:])
    joints = pull.joints(poses, twists, share=share)
    if isinstance(joints, Cause):
        return joints
    return tuple(
        Waypoint(pose=pose, motion=motion, joints=q)
        for pose, motion, q in zip(poses, motions, joints, strict=True)
    )


class _Pull:
    """What a path of poses pulls the joints to: predictions from one state of the arm.

    Linear from one Jacobian; where a limit is near, exact, one Jacobian per waypoint.
    """

    def __init__(self, at: Waypoint, measured: Joints, *, rules: Rules) -> None:
        self.at, self.rules = at, rules
        pose = pose_at(rules.forward, at.joints)
        self._behind = difference(at.pose, pose)
        columns = jacobian(rules.forward, at.joints, at=pose)
        self._inverse = weighted_inverse(columns)
        self._lost = np.eye(6) - columns @ self._inverse
        free = np.eye(len(at.joints)) - self._inverse @ columns
        self._towards_measured = np.zeros(len(at.joints))
        if len(at.joints) > 6:
            towards = FOLLOW * free @ (measured - at.joints)
            most = FOLLOW * rules.joint_speed * rules.dt_s
            self._towards_measured = towards * min(
                1.0, float((most / (np.abs(towards) + 1e-300)).min())
            )

    def joints(
        self, poses: Sequence[Pose], twists: np.ndarray, *, share: float
    ) -> Sequence[Joints] | Cause:
        """Return the joints at every pose, or the limit that they break."""
        steps = twists @ self._inverse.T
        steps[0] += FEEDBACK * self._inverse @ self._behind + share * self._towards_measured
        path = self.at.joints + np.cumsum(steps, axis=0)
        if self._is_straight(path[-1], poses[-1]) and not self._near_a_limit(path, steps, twists):
            return list(path)
        return self._exact(poses, twists, first=steps[0])

    def _is_straight(self, joints: Joints, pose: Pose) -> bool:
        """Return whether one Jacobian still holds at the end of the path, which may be long: what
        brakes for a second turns the joints by half a radian.
        """
        reached = pose_at(self.rules.forward, joints).position
        allowed = NEAR_SPEED * self.rules.limits.max_reach_error_m
        return math.dist(reached, pose.position) <= allowed

    def _near_a_limit(self, path: np.ndarray, steps: np.ndarray, twists: np.ndarray) -> bool:
        rules = self.rules
        fast = np.abs(steps) > NEAR_SPEED * rules.joint_speed * rules.dt_s
        far = (path < rules.low + rules.near) | (path > rules.high - rules.near)
        lost = self._lost @ (self._behind + twists.sum(axis=0))
        unreached = np.linalg.norm(lost[:3]) > NEAR_SPEED * rules.limits.max_reach_error_m
        return bool(fast.any() or far.any() or unreached)

    def _exact(
        self, poses: Sequence[Pose], twists: np.ndarray, *, first: Joints
    ) -> Sequence[Joints] | Cause:
        forward, most = self.rules.forward, self.rules.limits.max_reach_error_m
        path, joints, inverse, step = [], self.at.joints, self._inverse, first
        computed_at, behind = joints, float(np.linalg.norm(self._behind[:3]))
        for goal, onward in zip(poses, (*twists[1:], np.zeros(6)), strict=True):
            if (cause := _breaks(joints, step, rules=self.rules)) is not None:
                return cause
            joints = joints + step
            path.append(joints)

            pose = pose_at(forward, joints)
            error = math.dist(goal.position, pose.position)
            if error > max(most, behind):
                return Cause.REACH
            behind = error

            if np.abs(joints - computed_at).max() > STRAIGHT_RAD:
                inverse = weighted_inverse(jacobian(forward, joints, at=pose))
                computed_at = joints
            step = inverse @ (onward + FEEDBACK * difference(goal, pose))
        return path


def _breaks(joints: Joints, step: Joints, *, rules: Rules) -> Cause | None:
    """Return the limit that a step of the joints breaks. Beyond a range it may only come back."""
    after = joints + step
    low, high = np.minimum(rules.low, joints), np.maximum(rules.high, joints)
    if ((after < low) | (after > high)).any():
        return Cause.JOINT_POSITION
    if (np.abs(step) > rules.joint_speed * rules.dt_s).any():
        return Cause.JOINT_VELOCITY
    return None


def _poses(start: Pose, path: np.ndarray, turns: np.ndarray) -> list[Pose]:
    """Return the poses at positions of a path, each turned from the one before."""
    rotation = orthonormal(rotation_matrix(turns[0]) @ start.rotation)  # the next step begins here
    poses = [Pose(position=path[0], rotation=rotation)]
    for position, turn in zip(path[1:], turns[1:], strict=True):
        rotation = rotation_matrix(turn) @ rotation
        poses.append(Pose(position=position, rotation=rotation))
    return poses


def _leaves_box(path: np.ndarray, limits: SafetyLimits) -> bool:
    """Return whether a path leaves the box, or, outside of it, goes further out."""
    before, after = path[:-1], path[1:]
    low = np.minimum(limits.workspace_low_m, before)
    high = np.maximum(limits.workspace_high_m, before)
    return bool(((after < low) | (after > high)).any())


def _braked(state: PathState) -> PathState:
    """Return the state one waypoint further on its way to rest."""
    if not state.braking:
        return state
    return replace(state, at=state.braking[0], braking=state.braking[1:])


def _rested(state: PathState) -> PathState:
    at = replace(state.at, motion=np.zeros((2, 6)))
    return replace(state, at=at, braking=())


def _grip(before: float, asked: float, *, rules: Rules) -> tuple[float, set[Cause]]:
    step = rules.limits.gripper_speed_1_s * rules.dt_s
    target = min(max(asked, 0.0), 1.0)
    after = min(max(target, before - step), before + step)
    return after, {Cause.GRIPPER} if after != asked else set()
