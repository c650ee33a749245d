"""The scripted expert of the tabletop: a loop of short phases over privileged state, closed on what
the simulator says.

Approach above the object, descend, close, lift, and, where there is a destination, carry, lower,
open, retreat. A phase that finds the object out of the fingers sends the loop back to the approach.
Where it goes over, and how fast, varies per episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES, Shape
from robot.envs.tabletop.scene import Scene
from robot.envs.tabletop.world import TABLE_TOP_M, TabletopWorld

POINT_DOWN = np.array(
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]
)  # grip site in the base frame: the hand at home
OPEN_STEPS = 4
LIFT_M, RETREAT_M = 0.14, 0.12
ASTRAY_SHARE = 0.4
TRAVEL_M = 0.17  # above the table: over a bottle, which a masked policy cannot see
MAX_TURN_RAD = 0.15
SEARCH_POSE_M = np.array(
    [-0.05, 0.0, TABLE_TOP_M + 0.22]
)  # where the expert waits when there is nothing to do


class TabletopExpert:
    """One episode's expert; `act` returns the noise-free action."""

    def __init__(self, env: TabletopWorld, *, scene: Scene, rng: np.random.Generator) -> None:
        self._env, self._scene, self._rng = env, scene, rng
        self._speed_m = rng.uniform(0.035, 0.05)  # per control step
        self._clearance_m = rng.uniform(0.05, 0.10)
        self._via = rng.uniform(-0.015, 0.015, 2)  # off the vertical while approaching
        self._carry_m = rng.uniform(0.02, 0.05)
        self._close_steps = env.arm.gripper.close_steps
        if scene.target is None:
            self._phase: Callable[[], np.ndarray] = self._wait
        else:
            self._shape = SHAPES[cat.body_names()[scene.target]]
            self._phase = self._approach
        self._timer = 0

    def act(self) -> np.ndarray:
        """Return the intended action (7,)."""
        return self._phase()

    def perturbed_start(self) -> Iterator[np.ndarray]:
        """Lead the hand, in ASTRAY_SHARE of the episodes, to some place low beside the target,
        fingers open or closed.
        """
        if self._scene.target is None or self._rng.random() > ASTRAY_SHARE:
            return
        beside = self._object + self._rng.uniform((-0.07, -0.07, 0.015), (0.07, 0.07, 0.12))
        gripper = float(self._rng.random() < 0.7)
        for _ in range(self._rng.integers(8, 28)):
            yield self._towards(beside, gripper=gripper)

    # --- phases: each returns an action and may hand over to the next

    def _wait(self) -> np.ndarray:
        return self._towards(SEARCH_POSE_M, gripper=1.0)

    def _approach(self) -> np.ndarray:
        """Travel above whatever else stands there, come down only over the object."""
        goal = self._grasp_point() + [*self._via, self._clearance_m]
        off = np.linalg.norm(goal[:2] - self._ee[:2])
        if off < 0.015 and abs(goal[2] - self._ee[2]) < 0.025:
            self._phase = self._descend
        travel = max(goal[2], TABLE_TOP_M + TRAVEL_M)
        if off < 0.03:
            return self._towards(goal, gripper=1.0)
        low = off > 0.05 and self._ee[2] < travel - 0.04
        return self._towards(np.array([*(self._ee if low else goal)[:2], travel]), gripper=1.0)

    def _descend(self) -> np.ndarray:
        goal = self._grasp_point()
        off = np.linalg.norm(goal[:2] - self._ee[:2])
        if off < 0.012 and abs(goal[2] - self._ee[2]) < 0.010:
            self._phase, self._timer = self._close, self._close_steps
        if off > 0.03:
            self._phase = self._approach
        height = goal[2] if off < 0.012 else max(goal[2], self._ee[2] - 0.01)
        return self._towards(np.array([*goal[:2], height]), gripper=1.0)

    def _close(self) -> np.ndarray:
        self._timer -= 1
        if self._timer <= 0:
            self._phase = self._lift
        return self._towards(self._grasp_point(), gripper=0.0, slow=True)

    def _lift(self) -> np.ndarray:
        if self._slipped():
            return self._retry()
        high = self._ee[2] > self._carry_height() - 0.02
        if self._scene.destination is not None and high:
            self._phase = self._carry
        return self._towards(np.array([*self._ee[:2], self._carry_height()]), gripper=0.0)

    def _carry(self) -> np.ndarray:
        if self._slipped():
            return self._retry()
        goal = np.array([*self._over_destination(), self._carry_height()])
        if np.linalg.norm(goal[:2] - self._ee[:2]) < 0.012:
            self._phase = self._lower
        return self._towards(goal, gripper=0.0)

    def _lower(self) -> np.ndarray:
        if self._slipped():
            return self._retry()
        bottom = self._object[2] - TABLE_TOP_M - self._destination_shape.floor
        goal = np.array([*self._over_destination(), self._ee[2] - (bottom - 0.004)])
        if bottom < 0.012:
            self._phase, self._timer = self._open, OPEN_STEPS
        return self._towards(goal, gripper=0.0, slow=bool(bottom < 0.03))

    def _open(self) -> np.ndarray:
        self._timer -= 1
        if self._timer <= 0:
            self._phase, self._timer = self._retreat, 25
        return self._towards(self._ee, gripper=1.0)

    def _retreat(self) -> np.ndarray:
        self._timer -= 1
        if self._timer <= 0 and not self._in_destination():
            self._phase = self._approach
        return self._towards(np.array([*self._ee[:2], TABLE_TOP_M + RETREAT_M + 0.06]), gripper=1.0)

    # --- what the phases ask

    @property
    def _ee(self) -> np.ndarray:
        return self._env.arm.grasp_point(self._env.mj_data)

    @property
    def _object(self) -> np.ndarray:
        assert self._scene.target is not None
        return self._env.position(self._scene.target)

    @property
    def _destination_shape(self) -> Shape:
        assert self._scene.destination is not None
        return SHAPES[cat.body_names()[self._scene.destination]]

    def _grasp_point(self) -> np.ndarray:
        """Return where the finger tips go: the object's axis, at its grasp height, wherever it has
        rolled or fallen.
        """
        assert self._scene.target is not None
        up = self._env.rotation(self._scene.target)[:, 2]
        lying = up[2] < 0.7
        centre = self._object + up * self._shape.height / 2
        height = min(self._shape.grasp_height, 0.022) if lying else self._shape.grasp_height
        xy = centre[:2] if lying else self._object[:2]
        return np.array(
            [*xy, max(self._object[2] if not lying else TABLE_TOP_M, TABLE_TOP_M) + height]
        )

    def _carry_height(self) -> float:
        hanging = self._shape.grasp_height + 0.02
        rim = self._destination_shape.height if self._scene.destination is not None else 0.0
        return TABLE_TOP_M + max(LIFT_M, rim + hanging + self._carry_m)

    def _over_destination(self) -> np.ndarray:
        """Return the (x, y) of the hand that brings the object, not the hand, over the
        destination's middle.
        """
        assert self._scene.destination is not None
        return self._env.position(self._scene.destination)[:2] + self._ee[:2] - self._object[:2]

    def _in_destination(self) -> bool:
        assert self._scene.destination is not None
        offset = self._object[:2] - self._env.position(self._scene.destination)[:2]
        return float(np.hypot(*offset)) < self._destination_shape.inner_radius

    def _slipped(self) -> bool:
        assert self._scene.target is not None
        far = (
            np.linalg.norm(self._object[:2] - self._ee[:2]) > 0.04
            or self._ee[2] - self._object[2] > 0.11
        )
        return bool(far) or not self._env.touches_gripper(self._scene.target)

    def _retry(self) -> np.ndarray:
        self._phase = self._approach
        self._via = self._rng.uniform(-0.01, 0.01, 2)
        return self._towards(self._ee + [0.0, 0.0, 0.03], gripper=1.0)

    def _towards(self, goal: np.ndarray, *, gripper: float, slow: bool = False) -> np.ndarray:
        """Return the action that moves the finger tips towards `goal` (world, m) and keeps the hand
        pointing down.
        """
        delta = goal - self._ee
        limit = self._speed_m * (0.4 if slow else 1.0)
        delta *= min(1.0, limit / max(float(np.linalg.norm(delta)), 1e-9))
        hand = self._env.mj_data.site_xmat[self._env.arm.site].reshape(3, 3)
        rotation = POINT_DOWN @ hand.T
        skew = (
            np.array(
                [
                    rotation[2, 1] - rotation[1, 2],
                    rotation[0, 2] - rotation[2, 0],
                    rotation[1, 0] - rotation[0, 1],
                ]
            )
            / 2
        )
        turn = np.clip(skew, -MAX_TURN_RAD, MAX_TURN_RAD)
        return np.concatenate([delta, turn, [gripper]]).astype(np.float32)
