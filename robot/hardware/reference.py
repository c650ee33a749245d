"""A pose that follows goals smoothly, as a mass on a critically damped spring would.

The simulated arms answer to an action so (robosuite's OSC_POSE, stiffness 150 1/s^2): a policy that
was trained with them expects an arm that covers about a quarter of a commanded change within one
control step of 50 ms, not all of it. Streaming such a reference to a stiff controller gives any arm
that answer, whatever its own stiffness and friction are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

OSC_STIFFNESS = 150.0  # 1/s^2, robosuite's OSC_POSE with damping ratio 1


@dataclass(frozen=True)
class Reference:
    """A pose and its velocity in the base frame."""

    position: Float64[np.ndarray, "3"]  # m
    rotation: Float64[np.ndarray, "3 3"]
    linear: Float64[np.ndarray, "3"]  # m/s
    angular: Float64[np.ndarray, "3"]  # rad/s

    @staticmethod
    def at_rest(position: np.ndarray, rotation: np.ndarray) -> Reference:
        return Reference(position.copy(), rotation.copy(), np.zeros(3), np.zeros(3))


def advance(
    reference: Reference,
    *,
    goal_position: Float64[np.ndarray, "3"],
    goal_rotation: Float64[np.ndarray, "3 3"],
    stiffness: float,
    dt_s: float,
) -> Reference:
    """Return the reference `dt_s` later, drawn to a goal without overshoot.

    The spring is solved exactly, so that a step of any length is stable.
    """
    turn = rotation_between(goal_rotation, reference.rotation)  # from the goal to the reference
    away, linear = _spring(
        reference.position - goal_position, reference.linear, stiffness=stiffness, dt_s=dt_s
    )
    turned, angular = _spring(turn, reference.angular, stiffness=stiffness, dt_s=dt_s)
    return Reference(
        position=goal_position + away,
        rotation=Rotation.from_rotvec(turned).as_matrix() @ goal_rotation,
        linear=linear,
        angular=angular,
    )


def keep_near(
    reference: Reference,
    *,
    position: Float64[np.ndarray, "3"],
    rotation: Float64[np.ndarray, "3 3"],
    reach_m: float,
    reach_rad: float,
) -> Reference:
    """Return the reference no farther than a reach from the measured pose.

    An arm that is held back by something then pushes no harder than stiffness times reach.
    """
    away = _shortened(reference.position - position, reach_m)
    turn = _shortened(rotation_between(rotation, reference.rotation), reach_rad)
    return replace(
        reference,
        position=position + away,
        rotation=Rotation.from_rotvec(turn).as_matrix() @ rotation,
    )


def rotation_between(
    start: Float64[np.ndarray, "3 3"], end: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "3"]:
    """Return the rotation vector in the base frame that leads from one orientation to another."""
    return Rotation.from_matrix(end @ start.T).as_rotvec()


def _spring(
    away: np.ndarray, velocity: np.ndarray, *, stiffness: float, dt_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Solve x'' = -k x - 2 sqrt(k) x' over one step."""
    rate = math.sqrt(stiffness)
    decay, push = math.exp(-rate * dt_s), velocity + rate * away
    return decay * (away + push * dt_s), decay * (velocity - rate * push * dt_s)


def _shortened(vector: np.ndarray, length: float) -> np.ndarray:
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-12))
