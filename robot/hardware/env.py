"""A real arm and its cameras behind THE env API: what acts in a simulator acts here unchanged.

    env = HardwareEnv(arm=SafeArm(arm, limits), cameras=streams, goal="pick up the mug")
    observation, info = env.reset()
    while True:
        observation, _, done, _, info = env.step(act(observation))
        clock.wait()  # pacing is the loop's: `step` never sleeps

An action moves the commanded pose, not the measured one: an arm that lags or sags does not drift.
Whether a task succeeded only a person knows: `mark_success`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import gymnasium
import numpy as np
from jaxtyping import UInt8

from robot.envs.env import (
    GOAL_CHARSET,
    RobotEnv,
    action_space,
    check_reset_options,
    observation_space,
)
from robot.errors import InputError
from robot.hardware.arm import ArmError, ArmState, Command
from robot.hardware.braking import norms, shortened
from robot.hardware.camera import CameraStream, Shot, problems_of
from robot.hardware.holding import Seen
from robot.hardware.kinematics import Joints, Pose, difference, move, pose_at
from robot.hardware.path import in_box
from robot.hardware.safety import SafeArm
from robot.spaces import Camera, Spaces
from robot.types import MaskStatus

HISTORY = 64  # measured states that are kept to find the one nearest to a frame
HOME_TIMEOUT_S = 30.0
HOME_M, HOME_RAD = 0.01, 0.05  # as near to home as that is there
REST_TIMEOUT_S = 5.0
DELTAS = ("delta_position", "delta_rotation", "gripper")  # the groups of an action


@dataclass(frozen=True)
class _Look:
    """All that was newest at one control step."""

    state: ArmState  # of now
    shots: tuple[Shot, ...]
    at_frames: ArmState  # the measured state nearest to the oldest of the frames
    problems: Mapping[str, str]  # camera -> what is wrong with it


@dataclass
class _Episode:
    goal: str
    seed: int | None
    index: int
    steps: int = 0
    success: bool = False
    mask_s: float | None = None
    mask_status: MaskStatus | None = None
    states: deque[ArmState] = field(default_factory=lambda: deque(maxlen=HISTORY))


class HardwareEnv(RobotEnv):
    """An arm behind its safety layer, and cameras; its spaces are readable while disconnected.

    `sizes` are the frames that a policy takes, by camera name: streams are cropped in the centre to
    that aspect ratio and shrunk by area averaging. `home` are joints: a reset goes to their pose.
    """

    def __init__(
        self,
        *,
        arm: SafeArm,
        cameras: Sequence[CameraStream],
        sizes: Sequence[Camera] | None = None,
        goal: str = "",
        home: Joints | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.arm, self.home = arm, home
        self.streams = _ordered(cameras, sizes)
        features = arm.features
        if tuple(name for name, _ in features.action.groups) != DELTAS:
            raise InputError(
                f"got an arm whose action is {dict(features.action.groups)}, expected groups "
                f"{', '.join(DELTAS)}; declare robot.end_effector.end_effector_action"
            )
        self.spaces = Spaces(
            state=features.state,
            action=features.action,
            cameras=tuple(sizes or (stream.camera for stream in cameras)),
            control_dt_s=features.control_dt_s,
            robot_type=features.robot_type,
        )
        self.action_space = action_space(self.spaces.action)
        self.observation_space = observation_space(self.spaces)
        self._goal, self._clock, self._sleep = goal, clock, sleep
        self._connected = False
        self._episode: _Episode | None = None
        self._episodes = 0
        self._target: Pose | None = None  # commanded; None: begins where the arm is measured
        self._look: _Look | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Connect, come to rest, go home where there is one, and look. Options: goal, home (False
        stays where the arm is). The world is a person's to arrange; a seed changes nothing.

        The only call that waits: raises ArmError or CameraError in one sentence.
        """
        gymnasium.Env.reset(self, seed=seed)  # the base of envs only declares it
        options = check_reset_options(options, known=("goal", "home"))
        goal = checked_goal(options.get("goal", self._goal))
        self._connect()
        self._episode = _Episode(goal=goal, seed=seed, index=self._episodes)
        self._episodes += 1
        self._rest()
        if self.home is not None and options.get("home", True):
            self._go_home(self.home)
            self._rest()
        self._target = None
        observation = self.observe()
        return observation, self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Send one action through the safety layer and return what is newest, at once."""
        episode, look = self._begun()
        state = self.arm.read()
        command = self._commanded(np.asarray(action, np.float64), state)
        holds = self.arm.holds
        sent = self.arm.send(command, seen=self._seen(look, episode))
        self._follow(command, sent, held=self.arm.holds > holds)

        episode.steps += 1
        observation = self.observe()
        return observation, 0.0, episode.success, False, self._info() | {"sent": sent}

    def observe(self) -> dict[str, Any]:
        """Return the newest frames and the state that was measured nearest to them."""
        episode = self._episode
        if episode is None:
            raise RuntimeError("reset() comes before observe()")
        state = self.arm.read()
        episode.states.append(state)
        shots = tuple(stream.newest() for stream in self.streams)
        captured = min((shot.time_s for shot in shots), default=state.time_s)
        nearest = min(episode.states, key=lambda kept: abs(kept.time_s - captured))
        self._look = _Look(
            state=state, shots=shots, at_frames=nearest, problems=problems_of(self.streams)
        )
        return self._observation(self._look, episode.goal)

    def saw(self, *, mask_s: float, mask_status: MaskStatus) -> None:
        """Say what the next actions are decided on: when the frame of the mask was captured, and
        its status. What is stale, or not found, holds the arm.
        """
        episode, _ = self._begun()
        episode.mask_s, episode.mask_status = mask_s, mask_status

    def mark_success(self) -> None:
        """Say, as a person, that the episode has reached its goal: the next step ends it."""
        self._begun()[0].success = True

    def close(self) -> None:
        """Stop and let go of arm and cameras; callable twice."""
        if self._connected:
            self.arm.disconnect()
            for stream in self.streams:
                stream.disconnect()
        self._connected, self._episode, self._look = False, None, None

    def _begun(self) -> tuple[_Episode, _Look]:
        if self._episode is None or self._look is None:
            raise RuntimeError("reset() comes before step()")
        return self._episode, self._look

    def _connect(self) -> None:
        if self._connected:
            return
        for stream in self.streams:
            stream.connect()
        self.arm.connect()
        self._connected = True

    def _rest(self) -> None:
        """Brake until the commanded path stands, a period per turn."""
        began_s = self._clock()
        self.arm.read()
        while not self.arm.at_rest:
            if self._clock() - began_s > REST_TIMEOUT_S:
                raise ArmError(
                    f"the arm did not come to rest within {REST_TIMEOUT_S:g} s: look at it, then "
                    "start again"
                )
            self.arm.hold("reset")
            self._sleep(self.control_dt_s)
            self.arm.read()

    def _go_home(self, joints: Joints) -> None:
        home, began_s = pose_at(self.arm.forward, joints), self._clock()
        while not _there(home, self.arm.read()):
            if self.arm.estopped:
                raise ArmError(f"the e-stop is latched ({self.arm.estopped}): release it first")
            if self._clock() - began_s > HOME_TIMEOUT_S:
                kinds = ", ".join(kind.value for kind in self.arm.interventions)
                raise ArmError(
                    f"the arm did not reach its home pose within {HOME_TIMEOUT_S:g} s (the safety "
                    f"layer says: {kinds or 'nothing'}): move it nearer by hand, or correct home"
                )
            self.arm.send(
                Command(
                    ee_position=home.position,
                    ee_rotation=home.rotation,
                    gripper_target=1.0,
                    time_s=self._clock(),
                )
            )
            self._sleep(self.control_dt_s)

    def _commanded(self, action: np.ndarray, state: ArmState) -> Command:
        """Return the commanded pose moved by an action; what is malformed goes on as NaN, for the
        safety layer to count and hold.
        """
        target = self._target or Pose(position=state.ee_position, rotation=state.ee_rotation)
        bad = action.shape != (7,) or not np.isfinite(action).all()
        if not bad:
            low, high = self.spaces.action.low, self.spaces.action.high
            action = np.clip(action, low, high)
            target = in_box(move(target, action[:6]), self.arm.limits)
        return Command(
            ee_position=np.full(3, np.nan) if bad else target.position,
            ee_rotation=target.rotation,
            gripper_target=0.0 if bad else float(action[6]),
            time_s=self._clock(),
        )

    def _follow(self, command: Command, sent: Command, *, held: bool) -> None:
        """Keep the commanded pose as long as it stays within reach of what was sent, and none while
        the arm was held: what the safety layer held back must not be made up for.
        """
        at = Pose(position=sent.ee_position, rotation=sent.ee_rotation)
        if held or not np.isfinite(command.ee_position).all():
            self._target = at
            return
        asked = Pose(position=command.ee_position, rotation=command.ee_rotation)
        limits, ahead = self.arm.limits, difference(asked, at)
        most = np.array([limits.max_lead_m, limits.max_lead_rad])
        self._target = asked if (norms(ahead) <= most).all() else move(at, shortened(ahead, most))

    def _seen(self, look: _Look, episode: _Episode) -> Seen:
        frames = zip(self.spaces.camera_names, look.shots, strict=True)
        return Seen(
            frame_s={name: shot.time_s for name, shot in frames},
            problems=look.problems,
            mask_s=episode.mask_s,
            mask_status=episode.mask_status,
        )

    def _observation(self, look: _Look, goal: str) -> dict[str, Any]:
        cameras = list(zip(self.spaces.cameras, look.shots, strict=True))
        times = {camera.name: shot.time_s for camera, shot in cameras}
        times["proprio"] = look.at_frames.time_s
        return {
            "images": {camera.name: fitted(shot.image, camera) for camera, shot in cameras},
            "proprio": self._proprio(look.at_frames),
            "goal": {"text": goal},
            "time": {name: np.array([at_s], np.float64) for name, at_s in times.items()},
        }

    def _proprio(self, state: ArmState) -> dict[str, np.ndarray]:
        known = {
            "ee_position": state.ee_position,
            "ee_rotation": state.ee_rotation[:, :2].T.reshape(6),
            "gripper": np.array([state.gripper_opening]),
            "joint_position": state.joint_position,
            "joint_velocity": state.joint_velocity,
        }
        low, high = np.array(self.spaces.state.low), np.array(self.spaces.state.high)
        return {
            name: np.clip(known[name], low[columns], high[columns]).astype(np.float32)
            for name, columns in self.spaces.state.columns().items()
        }

    def _info(self) -> dict[str, Any]:
        episode, look = self._begun()
        now_s = self._clock()
        frames = zip(self.spaces.camera_names, look.shots, strict=True)
        ages = {name: now_s - shot.time_s for name, shot in frames}
        return {
            "success": episode.success,
            "seed": episode.seed,
            "episode": episode.index,
            "steps": episode.steps,
            "interventions": {kind.value: n for kind, n in self.arm.interventions.items()},
            "age_s": ages | {"state": now_s - look.state.time_s},
            "problems": dict(look.problems),
            "estopped": self.arm.estopped,
        }


def fitted(image: UInt8[np.ndarray, "h w 3"], camera: Camera) -> UInt8[np.ndarray, "a b 3"]:
    """Return a frame cropped in its centre to a camera's aspect ratio and shrunk to its size."""
    height, width = image.shape[:2]
    if (height, width) == (camera.height, camera.width):
        return image
    scale = min(height / camera.height, width / camera.width)
    tall, wide = round(camera.height * scale), round(camera.width * scale)
    top, left = (height - tall) // 2, (width - wide) // 2
    cropped = image[top : top + tall, left : left + wide]
    return cv2.resize(cropped, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def checked_goal(goal: object) -> str:
    """Return a goal's sentence; raise InputError for one that cannot be one."""
    if not isinstance(goal, str) or not goal.strip() or len(goal) > 256:
        raise InputError(
            f"got goal {goal!r}, expected a sentence of at most 256 characters; pass "
            'options={"goal": "pick up the mug"}'
        )
    if foreign := sorted(set(goal) - set(GOAL_CHARSET)):
        raise InputError(
            f"got goal {goal!r} with {' '.join(foreign)}, expected plain letters, digits and "
            "punctuation; spell it with these"
        )
    return goal


def _ordered(
    streams: Sequence[CameraStream], sizes: Sequence[Camera] | None
) -> tuple[CameraStream, ...]:
    """Return streams in the order of `sizes`; raise InputError where one is missing or smaller."""
    by_name = {stream.camera.name: stream for stream in streams}
    wanted = tuple(stream.camera for stream in streams) if sizes is None else tuple(sizes)
    if missing := [camera.name for camera in wanted if camera.name not in by_name]:
        raise InputError(
            f"got cameras {sorted(by_name)}, expected {[c.name for c in wanted]}; add "
            f"{', '.join(missing)}"
        )
    for camera in wanted:
        has = by_name[camera.name].camera
        if has.height < camera.height or has.width < camera.width:
            raise InputError(
                f"got camera {has.name} of {has.width}x{has.height} px, expected at least "
                f"{camera.width}x{camera.height} px; raise its resolution"
            )
    return tuple(by_name[camera.name] for camera in wanted)


def _there(home: Pose, state: ArmState) -> bool:
    here = Pose(position=state.ee_position, rotation=state.ee_rotation)
    return bool((norms(difference(home, here)) < (HOME_M, HOME_RAD)).all())
