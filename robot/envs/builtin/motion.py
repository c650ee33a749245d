"""Move the hand with physical actions: a pose servo, motions as generators, and an expert that
plays them with noise.

A script is a generator of Targets. Every motion in it reads the live simulator state before each
step, so the expert is closed-loop, and returns whether it arrived, so that a script can retry.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from robot.envs.robots import grasp_point
from robot.types import InputError

MAX_DELTA_M, MAX_DELTA_RAD = (
    0.05,
    0.5,
)  # per 20 Hz control step: what robosuite's OSC_POSE reaches at a command of 1
# delta per error; OSC at kp 150 is critically damped at 1, and 1.5 overshoots by less than 1 %
SERVO_GAIN = 1.5
OPEN, CLOSED = 1.0, 0.0

Script: TypeAlias = "Generator[Target, None, bool]"


@dataclass(frozen=True)
class Pose:
    """A frame in the world: position m (3), rotation (3, 3) whose columns are its axes."""

    position: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]

    def at(self, offset: Float[np.ndarray, "3"]) -> Pose:
        """Return the frame moved by `offset` m along the world's axes."""
        return Pose(self.position + offset, self.rotation)


@dataclass(frozen=True)
class Target:
    """Where the hand should go next: a pose, the gripper target, and the longest commanded step in
    m.
    """

    pose: Pose
    gripper: float
    max_delta_m: float = MAX_DELTA_M


@dataclass(frozen=True)
class Manner:
    """How one episode is performed; drawn once so that demonstrations differ between episodes."""

    hover_m: float  # height of the approach above the grasp
    offset_m: Float[np.ndarray, "3"]  # where the grasp is off centre, world axes
    max_delta_m: float  # speed, as the longest commanded step
    tilt_rad: float  # approach direction, off vertical
    noise: float  # standard deviation of the action noise, relative to the action bounds

    @staticmethod
    def draw(rng: np.random.Generator) -> Manner:
        return Manner(
            hover_m=rng.uniform(0.06, 0.12),
            offset_m=rng.uniform([-0.004, -0.004, -0.002], [0.004, 0.004, 0.006]),
            max_delta_m=rng.uniform(0.04, MAX_DELTA_M),
            tilt_rad=rng.uniform(-0.12, 0.12),
            noise=rng.uniform(0.02, 0.08),
        )


def hand_pose(env: Any) -> Pose:
    """Return where a single-arm robosuite environment grasps: x opens the fingers, z points out of
    the palm.
    """
    site = env.robots[0].eef_site_id["right"]
    return Pose(
        position=grasp_point(env), rotation=env.sim.data.site_xmat[site].reshape(3, 3).copy()
    )


def body_pose(env: Any, body: str) -> Pose:
    """Return a body's frame in the world."""
    index = env.sim.model.body_name2id(body)
    return Pose(
        env.sim.data.body_xpos[index].copy(), env.sim.data.body_xmat[index].reshape(3, 3).copy()
    )


def top_down(yaw_rad: float, *, tilt_rad: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of a hand that points down, its fingers opening along `yaw_rad`, tilted
    about that axis.
    """
    opening = np.array([np.cos(yaw_rad), np.sin(yaw_rad), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    upright = np.stack([opening, np.cross(down, opening), down], axis=1)
    return Rotation.from_rotvec(tilt_rad * opening).as_matrix() @ upright


def nearest_yaw(yaw_rad: float, *, to_rad: float, period_rad: float) -> float:
    """Return the yaw equivalent to `yaw_rad` under a symmetry of `period_rad` that is nearest to
    `to_rad`.
    """
    return yaw_rad + period_rad * round((to_rad - yaw_rad) / period_rad)


def body_yaw(pose: Pose) -> float:
    """Return the heading of the frame's x axis in the table plane, rad."""
    return float(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0]))


def error(current: Pose, goal: Pose) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return what takes `current` to `goal` in the world: translation m and rotation vector rad."""
    rotation = Rotation.from_matrix(goal.rotation @ current.rotation.T).as_rotvec()
    return goal.position - current.position, rotation


def servo(
    current: Pose,
    target: Target,
    *,
    R_base_to_world: Float[np.ndarray, "3 3"],
    gain: float = SERVO_GAIN,
) -> Float[np.ndarray, "7"]:
    """Return the physical action (7) that moves the hand toward the target, clipped in length, in
    the base frame.
    """
    translation, rotation = error(current, target.pose)
    translation = shorten(R_base_to_world.T @ (gain * translation), limit=target.max_delta_m)
    rotation = shorten(R_base_to_world.T @ (gain * rotation), limit=MAX_DELTA_RAD)
    return np.concatenate([translation, rotation, [target.gripper]])


def shorten(vector: Float[np.ndarray, "n"], *, limit: float) -> Float[np.ndarray, "n"]:
    """Return the vector, no longer than `limit`, its direction kept."""
    return vector * min(1.0, limit / max(float(np.linalg.norm(vector)), 1e-9))


def travel(
    env: Any,
    goal: Callable[[], Pose],
    *,
    gripper: float,
    tolerance_m: float = 0.01,
    tolerance_rad: float = 0.15,
    max_delta_m: float = MAX_DELTA_M,
    patience: int = 60,
) -> Script:
    """Yield targets until the hand is within tolerance of `goal()`, asked anew each step, or
    `patience` steps have passed.

    Returns whether it arrived.
    """
    for _ in range(patience):
        pose = goal()
        translation, rotation = error(hand_pose(env), pose)
        if np.linalg.norm(translation) < tolerance_m and np.linalg.norm(rotation) < tolerance_rad:
            return True
        yield Target(pose, gripper, max_delta_m)
    return False


def stay(env: Any, *, gripper: float, steps: int) -> Script:
    """Yield targets that hold the hand where it is now, for fingers to open or close."""
    pose = hand_pose(env)
    for _ in range(steps):
        yield Target(pose, gripper)
    return True


class ScriptedExpert:
    """Play a script with action noise; robot.envs.task.Expert."""

    def __init__(
        self, *, env: Any, script: Iterator[Target], noise: float, rng: np.random.Generator
    ) -> None:
        if not 0 <= noise <= 0.5:
            raise InputError(
                f"got action noise {noise}, expected 0..0.5 of the action bounds; lower it"
            )
        self._env, self._script, self._noise, self._rng = env, script, noise, rng

    def act(self) -> Float[np.ndarray, "7"]:
        """Return the next physical action (7) for the simulator's current state."""
        target = next(self._script)
        action = servo(hand_pose(self._env), target, R_base_to_world=self._env.robots[0].base_ori)
        high = np.array([MAX_DELTA_M] * 3 + [MAX_DELTA_RAD] * 3)
        # Rotation gets a quarter: its bound is 0.5 rad per step, ten times what a task ever asks
        # for.
        scale = high * np.array([1, 1, 1, 0.25, 0.25, 0.25]) * self._noise
        action[:6] = np.clip(action[:6] + self._rng.normal(scale=scale), -high, high)
        return action.astype(np.float32)

    def perturbed_start(self) -> Iterator[Float[np.ndarray, "7"]]:
        """Yield nothing: these scripts begin at home."""
        return iter(())
