"""An arm behind its safety layer with cameras, as the loop uses it: observations aligned in time,
actions in the units of the policy, and what was really done with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from robot.hardware.arm import ArmState, Command
from robot.hardware.camera import CameraError, CameraStream, Shot, problems_of
from robot.hardware.holding import Seen
from robot.hardware.kinematics import Pose, difference, move
from robot.hardware.safety import SafeArm
from robot.spaces import Spaces
from robot.types import Frame, Goal, Observation, Viewpoint

BLACK = 8  # of 255: no pixel of a black frame is brighter
HISTORY_S = 3.0  # of measured states: frames may be that old


@dataclass(frozen=True)
class Look:
    """All that was newest at one control step; the observation is of when its frames were
    captured, the state of now.
    """

    observation: Observation
    state: ArmState
    shots: tuple[Shot, ...]
    problems: Mapping[str, str]  # camera -> what it says is wrong with it


class Rig:
    """SafeArm and cameras; calls come from one thread."""

    def __init__(
        self,
        arm: SafeArm,
        cameras: Sequence[CameraStream],
        *,
        spaces: Spaces | None = None,
        table_m: float | None = None,
    ) -> None:
        """`table_m` is the height of the table's top in the base frame; with it, frames of cameras
        that are calibrated with the arm say where they were taken from.
        """
        self.arm, self.cameras, self.table_m = arm, tuple(cameras), table_m
        features = arm.features
        self.spaces = spaces or Spaces(
            state=features.state,
            action=features.action,
            cameras=tuple(stream.camera for stream in self.cameras),
            control_dt_s=features.control_dt_s,
            robot_type=features.robot_type,
        )
        self._history: deque[tuple[float, np.ndarray]] = deque(
            maxlen=round(HISTORY_S / features.control_dt_s)
        )
        self._state: ArmState | None = None

    def observe(self, goal: str | Goal) -> Look:
        """Read everything that is newest. Raises ArmError and CameraError."""
        state = self.arm.read()
        self._state = state
        vector = state_vector(state)
        if not self._history or state.time_s > self._history[-1][0]:
            self._history.append((state.time_s, vector))
        shots = tuple(stream.newest() for stream in self.cameras)
        for stream, shot in zip(self.cameras, shots, strict=True):
            if shot.image.max(initial=0) <= BLACK:
                raise CameraError(
                    f"the camera {stream.camera.name} shows nothing but black: look at its lens, "
                    "cable and exposure"
                )
        captured = min((shot.time_s for shot in shots), default=state.time_s)
        frames = tuple(
            Frame(
                camera=stream.camera.name,
                image=_sized(shot, stream),
                time_s=shot.time_s,
                viewpoint=self._viewpoint(shot, stream),
            )
            for stream, shot in zip(self.cameras, shots, strict=True)
        )
        observation = Observation(
            frames=frames,
            proprio=self.state_at(captured),
            goal=goal if isinstance(goal, Goal) else Goal(goal),
            time_s=min(captured, state.time_s),
        )
        return Look(
            observation=observation, state=state, shots=shots, problems=problems_of(self.cameras)
        )

    def state_at(self, time_s: float) -> Float32[np.ndarray, " s"]:
        """Return the measured state at a time, between two measurements the mean that lies there;
        the first or last one outside of what is kept.
        """
        times = [t for t, _ in self._history]
        values = np.stack([v for _, v in self._history])
        return np.array([np.interp(time_s, times, column) for column in values.T], dtype=np.float32)

    def _viewpoint(self, shot: Shot, stream: CameraStream) -> Viewpoint | None:
        """Return how a camera saw when it captured a shot; None where that is not known."""
        viewpoint, mount = shot.viewpoint, getattr(stream, "mount", None)
        if viewpoint is None and mount is not None and self.table_m is not None:
            T_base_ee = ee_pose(self.state_at(shot.time_s))
            viewpoint = mount.viewpoint(T_base_ee, table_m=self.table_m)
        if viewpoint is None:
            return None
        height, width = shot.image.shape[:2]
        size = np.diag([stream.camera.width / width, stream.camera.height / height, 1.0])
        return replace(viewpoint, K=size @ viewpoint.K)

    def act(
        self, action: Float32[np.ndarray, " a"], *, seen: Seen | None, now_s: float
    ) -> Float32[np.ndarray, " a"]:
        """Send an action from where the arm was measured last; return what was really sent of
        it.
        """
        assert self._state is not None, "observe() comes first"
        command = command_of(action, self._state, time_s=now_s)
        return action_of(self.arm.send(command, seen=seen), self._state)

    @property
    def opening(self) -> float:
        """Return how open the gripper was measured last, 1 before it was."""
        return 1.0 if self._state is None else self._state.gripper_opening

    def hold(self, reason: str) -> Float32[np.ndarray, " a"]:
        """Brake, or stay; return what was really sent."""
        sent = self.arm.hold(reason)
        if sent is None or self._state is None:
            return np.zeros(len(self.spaces.action), np.float32)
        return action_of(sent, self._state)

    def forget(self) -> None:
        """Forget what was measured: the arm was moved by other means."""
        self._history.clear()


def state_vector(state: ArmState) -> Float32[np.ndarray, " s"]:
    """Return a state as robot.end_effector.end_effector_state orders it."""
    columns = state.ee_rotation[:, :2].T.reshape(6)
    return np.concatenate([state.ee_position, columns, [state.gripper_opening]]).astype(np.float32)


def ee_pose(vector: Float32[np.ndarray, " s"]) -> Float64[np.ndarray, "4 4"]:
    """Return T_base_ee of a state, also of one between two measurements."""
    T_base_ee = np.eye(4)
    first, second = vector[3:6].astype(float), vector[6:9].astype(float)
    first /= np.linalg.norm(first)
    second -= (first @ second) * first
    second /= np.linalg.norm(second)
    T_base_ee[:3, :3] = np.stack([first, second, np.cross(first, second)], axis=1)
    T_base_ee[:3, 3] = vector[:3]
    return T_base_ee


def command_of(action: Float32[np.ndarray, " a"], state: ArmState, *, time_s: float) -> Command:
    """Return the pose that an action leads to from a measured one. Inverse: `action_of`.

    Malformed actions go on as they are: the safety layer counts and holds them.
    """
    values = np.asarray(action, np.float64)
    if values.shape != (7,) or not np.isfinite(values).all():
        bad = np.full(3, np.nan) if values.shape == (7,) else values
        return Command(
            ee_position=bad, ee_rotation=state.ee_rotation, gripper_target=0.0, time_s=time_s
        )
    pose = move(Pose(position=state.ee_position, rotation=state.ee_rotation), values[:6])
    return Command(
        ee_position=pose.position,
        ee_rotation=pose.rotation,
        gripper_target=float(values[6]),
        time_s=time_s,
    )


def action_of(command: Command, state: ArmState) -> Float32[np.ndarray, " a"]:
    """Return the action whose command this is from a measured state. Inverse: `command_of`."""
    goal = Pose(position=command.ee_position, rotation=command.ee_rotation)
    here = Pose(position=state.ee_position, rotation=state.ee_rotation)
    return np.concatenate([difference(goal, here), [command.gripper_target]]).astype(np.float32)


def _sized(shot: Shot, stream: CameraStream) -> np.ndarray:
    """Return a frame of the size that the camera declares."""
    height, width = stream.camera.height, stream.camera.width
    if shot.image.shape[:2] == (height, width):
        return shot.image
    return cv2.resize(shot.image, (width, height), interpolation=cv2.INTER_AREA)
