"""How a moving end effector comes to rest within limits of speed, acceleration and jerk.

The path is discrete, a pose per control period dt: a_k = a_(k-1) + j_k dt, v_k = v_(k-1) + a_k dt,
p_k = p_(k-1) + v_k dt. Of all ways to be at rest after n steps the one with the least squared jerk
is linear in (v, a), so its matrices are made once for every n. Its tail is again the best way for
the steps that are left (Bellman), and its jerk is linear in time, so that the ends bound it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from robot.hardware.kinematics import Twist
from robot.hardware.limits import SafetyLimits

Motion = Float64[np.ndarray, "2 6"]  # velocity and acceleration, each a twist
Motions = Float64[np.ndarray, "n 2 6"]  # one per step
Norms = Float64[np.ndarray, "... 2"]  # of translation and rotation

SLACK = 1e-9  # relative: what a sum of rounded numbers may be off


@dataclass(frozen=True)
class PathLimits:
    """Largest lengths of (translation, rotation) per control period's derivative."""

    speed: Float64[np.ndarray, "2"]
    acceleration: Float64[np.ndarray, "2"]
    jerk: Float64[np.ndarray, "2"]

    @staticmethod
    def of(limits: SafetyLimits, *, dt_s: float) -> PathLimits:
        """Return the limits of a path; the step's is one on speed, too."""
        return PathLimits(
            speed=np.array(
                [
                    min(limits.max_speed_m_s, limits.max_step_m / dt_s),
                    min(limits.max_speed_rad_s, limits.max_step_rad / dt_s),
                ]
            ),
            acceleration=np.array([limits.max_acceleration_m_s2, limits.max_acceleration_rad_s2]),
            jerk=np.array([limits.max_jerk_m_s3, limits.max_jerk_rad_s3]),
        )


@dataclass(frozen=True)
class Braking:
    """The ways to rest in 1 .. n steps; row k of a matrix times (v, a) is step k of the path."""

    limits: PathLimits
    dt_s: float
    end_jerks: Float64[np.ndarray, "_ 2"]  # of the first steps, then of the last ones
    acceleration: tuple[Float64[np.ndarray, "_ 2"], ...]
    velocity: tuple[Float64[np.ndarray, "_ 2"], ...]

    @staticmethod
    def of(limits: PathLimits, *, dt_s: float) -> Braking:
        """Make the matrices for every number of steps that a stop within `limits` may take."""
        speed, acceleration, jerk = limits.speed, limits.acceleration, limits.jerk
        fall = acceleration / jerk  # s until an acceleration has faded
        at_fade = speed + acceleration * fall
        longest_s = fall + np.maximum(np.sqrt(6 * at_fade / jerk), 1.5 * at_fade / acceleration)
        count = min(4 + math.ceil(2 * float(longest_s.max()) / dt_s), 400)
        rows = [_rows(n, dt_s=dt_s) for n in range(2, count + 1)]
        return Braking(
            limits=limits,
            dt_s=dt_s,
            end_jerks=np.stack([jerk[end] for end in (0, -1) for jerk, _, _ in rows]),
            acceleration=tuple(acceleration for _, acceleration, _ in rows),
            velocity=tuple(velocity for _, _, velocity in rows),
        )

    def stop(self, motion: Motion) -> Motions | None:
        """Return velocity and acceleration at every step until rest, or None if none is within
        the limits. At rest already: no step.
        """
        if not motion.any():
            return np.empty((0, 2, 6))
        kept = within(norms(self.end_jerks @ motion), self.limits.jerk).reshape(2, -1)
        for k in np.flatnonzero(kept[0] & kept[1]).tolist():
            acceleration, velocity = self.acceleration[k] @ motion, self.velocity[k] @ motion
            if (
                within(norms(acceleration), self.limits.acceleration).all()
                and within(norms(velocity), self.limits.speed).all()
            ):
                acceleration[-1] = velocity[-1] = 0.0  # exactly: rounding left 1e-17
                return np.stack([velocity, acceleration], axis=1)
        return None


def norms(twists: Float64[np.ndarray, "... 6"]) -> Norms:
    """Return the lengths of translation and rotation of twists."""
    parts = twists.reshape(*twists.shape[:-1], 2, 3)
    return np.sqrt(np.einsum("...k,...k->...", parts, parts))


def within(lengths: Norms, limit: Float64[np.ndarray, "2"]) -> Bool[np.ndarray, "..."]:
    """Return whether both lengths keep their limit."""
    return (lengths <= limit * (1 - SLACK)).all(axis=-1)


def shortened(twist: Twist, limit: Float64[np.ndarray, "2"]) -> Twist:
    """Return a twist whose translation and rotation are no longer than their limit."""
    length = norms(twist)
    scale = np.minimum(1.0, limit * (1 - 2 * SLACK) / np.maximum(length, 1e-300))
    return twist * np.repeat(scale, 3)


def braking_speed(
    distance: Float64[np.ndarray, "2"], limits: PathLimits, *, dt_s: float
) -> Float64[np.ndarray, "2"]:
    """Return the speed from which a stop takes `distance`, or which covers it in one step.

    A stop from speed v takes T = max(sqrt(6 v / j), 1.5 v / a) and covers v T / 2.
    """
    first = _stops_within(distance, limits)
    # The step that is on its way when braking begins adds to the distance: allow for it.
    left = np.maximum(distance - first * dt_s / 2, distance / 4)
    return np.minimum(_stops_within(left, limits), distance / dt_s)


def landing(change: Twist, limits: PathLimits, *, dt_s: float) -> Twist:
    """Return the acceleration with which a velocity changes by `change` and then stays, without
    overshoot: what fades at the jerk limit while the rest of the change is made.
    """
    length = norms(change)
    jump = limits.jerk * dt_s / 2
    fading = np.sqrt(jump**2 + 2 * limits.jerk * length) - jump
    size = np.minimum(np.minimum(fading, length / dt_s), limits.acceleration)
    return change * np.repeat(size / np.maximum(length, 1e-300), 3)


def _stops_within(
    distance: Float64[np.ndarray, "2"], limits: PathLimits
) -> Float64[np.ndarray, "2"]:
    by_jerk = (2 * distance / np.sqrt(6 / limits.jerk)) ** (2 / 3)
    return np.minimum(by_jerk, np.sqrt(4 / 3 * limits.acceleration * distance))


def _rows(steps: int, *, dt_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return jerk, acceleration and velocity per step as rows to multiply by (v, a)."""
    left = np.arange(steps, 0, -1)
    ends = np.stack([np.full(steps, dt_s), dt_s**2 * left])  # @ jerk = change of (a, v)
    inverse = np.linalg.pinv(ends)
    # At the end a is 0, and v + steps dt a + ends[1] @ jerk is 0.
    jerk = np.stack([-inverse[:, 1], -inverse[:, 0] - steps * dt_s * inverse[:, 1]], axis=1)
    acceleration = np.array([0.0, 1.0]) + dt_s * np.cumsum(jerk, axis=0)
    velocity = np.array([1.0, 0.0]) + dt_s * np.cumsum(acceleration, axis=0)
    return jerk, acceleration, velocity
