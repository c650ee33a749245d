"""Operational space control (Khatib 1987) of an arm's grip site, with the gains of robosuite's
OSC_POSE: a spring and a damper pull the site to a goal pose, made independent of the arm's inertia;
what freedom is left pulls the joints to where the episode began.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from robot.envs.arm import Arm

STIFFNESS = 150.0  # 1/s^2, of all six axes
DAMPING = 2.0 * np.sqrt(STIFFNESS)  # critical
REST_STIFFNESS = 10.0
REST_DAMPING = 2.0 * np.sqrt(REST_STIFFNESS)


class OperationalSpaceControl:
    """Torques of one arm, whose joints are the first of the model."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, arm: Arm) -> None:
        self._model, self._data, self._arm = model, data, arm
        self._size = size = len(arm.dofs)
        assert arm.dofs == list(range(size)) and arm.joints == list(range(size))
        self._jacobian = np.zeros((6, model.nv))
        self._inertia = _InertiaOfFirst(model, size)
        self._low, self._high = model.actuator_ctrlrange[:size].T
        self._rest = np.array(arm.rest_rad)
        self._position, self._rotation = np.zeros(3), np.eye(3)
        self._held: np.ndarray | None = None  # joints, while they are held

    def begin(self, joints_rad: Float[np.ndarray, " j"]) -> None:
        """Start an episode: these joints [rad] are what the arm returns to where it is free to."""
        self._rest = np.array(joints_rad)

    def aim(self, shift_m: Float[np.ndarray, "3"], turn_rad: Float[np.ndarray, "3"]) -> None:
        """Take as goal where the site is now, moved by a shift and a rotation vector in the frame
        of the base.
        """
        self._held = None
        data, arm = self._data, self._arm
        base = data.xmat[arm.base].reshape(3, 3)
        self._position = data.site_xpos[arm.site] + base @ shift_m
        turn = base @ _rotation(turn_rad) @ base.T
        self._rotation = turn @ data.site_xmat[arm.site].reshape(3, 3)

    def hold(self) -> None:
        """Brake all joints and keep them where they are now, until the next `aim`: a site that
        stands still says nothing of an elbow that swings.
        """
        if self._held is None:
            self._held = self._data.qpos[: self._size].copy()

    def torques(self) -> Float[np.ndarray, " j"]:
        """Return the joints' torques [N m] towards the goal, within the motors' limits. Positions
        and velocities must be up to date (mj_step1).
        """
        if self._held is not None:
            return self._holding(self._held)
        data, arm, size = self._data, self._arm, self._size
        mujoco.mj_jacSite(self._model, data, self._jacobian[:3], self._jacobian[3:], arm.site)
        J, M = self._jacobian[:, :size], self._inertia(data)
        q, qd = data.qpos[:size], data.qvel[:size]

        turn = self._rotation @ data.site_xmat[arm.site].reshape(3, 3).T
        # the sum of the axes' cross products, halved: the sine of the angle along the axis
        error = np.array(
            [
                *(self._position - data.site_xpos[arm.site]),
                0.5 * (turn[2, 1] - turn[1, 2]),
                0.5 * (turn[0, 2] - turn[2, 0]),
                0.5 * (turn[1, 0] - turn[0, 1]),
            ]
        )
        pull = STIFFNESS * error - DAMPING * (J @ qd)
        rest = REST_STIFFNESS * (self._rest - q) - REST_DAMPING * qd

        mobility = J @ _solve(M, J.T)  # (6, 6), the inverse of the site's inertia
        wrench = np.concatenate(  # positions and rotations decoupled
            [
                _solve(mobility[:3, :3], pull[:3, None])[:, 0],
                _solve(mobility[3:, 3:], pull[3:, None])[:, 0],
            ]
        )
        unseen = _solve(mobility, (J @ rest)[:, None])[
            :, 0
        ]  # takes out of `rest` what moves the site
        torques = J.T @ (wrench - unseen) + M @ rest + data.qfrc_bias[:size]
        return np.clip(torques, self._low, self._high)

    def _holding(self, held: Float[np.ndarray, " j"]) -> Float[np.ndarray, " j"]:
        """Return the torques of a spring and a damper in every joint, critical as those of the
        site.
        """
        data, size = self._data, self._size
        pull = STIFFNESS * (held - data.qpos[:size]) - DAMPING * data.qvel[:size]
        torques = self._inertia(data) @ pull + data.qfrc_bias[:size]
        return np.clip(torques, self._low, self._high)


class _InertiaOfFirst:
    """Reads the dense inertia matrix of a model's first joints out of MuJoCo's sparse one.

    Not mj_fullM: it writes all (nv, nv) values, and its arguments changed in MuJoCo 3.10.
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        rows, columns, entries = [], [], []
        for row in range(size):
            for entry in range(model.M_rowadr[row], model.M_rowadr[row] + model.M_rownnz[row]):
                rows.append(row)
                columns.append(int(model.M_colind[entry]))
                entries.append(entry)
        self._rows, self._columns, self._entries = map(np.array, (rows, columns, entries))
        self._dense = np.zeros((size, size))

    def __call__(self, data: mujoco.MjData) -> Float[np.ndarray, "j j"]:
        values = data.M[self._entries]
        self._dense[self._rows, self._columns] = values
        self._dense[self._columns, self._rows] = values
        return self._dense


def _solve(
    matrix: Float[np.ndarray, "n n"], columns: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "n k"]:
    """Solve a symmetric positive system. Not LAPACK: its threads cost more than these few numbers,
    milliseconds where other processes want the cores.
    """
    factor = np.array(matrix, order="C")
    mujoco.mju_cholFactor(factor, 1e-12)
    solved = np.empty(columns.shape[::-1])
    for row, column in zip(solved, columns.T, strict=True):
        mujoco.mju_cholSolve(row, factor, np.ascontiguousarray(column))
    return solved.T


def _rotation(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return the matrix of a rotation vector [rad]."""
    angle = float(np.linalg.norm(vector))
    quaternion, matrix = np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(quaternion, np.asarray(vector, np.float64) / max(angle, 1e-12), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
