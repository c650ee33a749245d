"""THE env API: robosuite is behind it, and a driver of a real arm is to be.

An env declares `spaces` (robot.spaces.Spaces): cameras, the names, units and bounds of state and
action, the control period. Observation: {"images": {camera: uint8 (H, W, 3) RGB upright},
"proprio": {group of the state: float32 (n)}, "goal": {"text"}, "time": {camera and "proprio":
monotonic s (1)}}. Action: float32 (n), the values of `spaces.action` in order. The arms here take
end-effector deltas in the robot's base frame and a gripper target (0 closed .. 1 open).
"""

from __future__ import annotations

import string
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces as gym_spaces
from gymnasium.vector.utils import shared_memory

from robot.errors import InputError
from robot.spaces import Spaces, Vector

MAX_TIME_S = 1e9  # thirty years: bounds of a space have to be finite
GOAL_CHARSET = string.ascii_letters + string.digits + string.punctuation + " "


class GoalText(gym_spaces.Text):
    """The space of a goal's sentence, which survives the shared memory of AsyncVectorEnv."""


class _SharedTexts(Sequence[str]):
    """The sentences that lie in shared memory now.

    Gymnasium reads its shared memory once, before anything is in it, and relies on views; of a text
    it makes a copy, which stays empty ("aaaa..."). A copy of this one is a tuple of today's texts.
    """

    def __init__(self, space: gym_spaces.Text, memory: Any, count: int) -> None:
        self._space, self._memory, self._count = space, memory, count

    def __getitem__(self, index: Any) -> Any:
        return self._now()[index]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return self._now()

    def _now(self) -> tuple[str, ...]:
        read: Any = shared_memory.read_from_shared_memory.dispatch(gym_spaces.Text)
        return read(self._space, self._memory, self._count)


@shared_memory.read_from_shared_memory.register(GoalText)
def _read_goal(space: GoalText, shared_memory: Any, n: int = 1) -> Any:
    return _SharedTexts(space, shared_memory, n)


def check_reset_options(
    options: Mapping[str, Any] | None, *, known: Sequence[str]
) -> Mapping[str, Any]:
    """Return the options of a reset; raise InputError for one that no reset knows."""
    options = options or {}
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"got reset options {unknown}, expected some of {list(known)}: for example "
            'options={"scene": "distract", "episode": 3}'
        )
    return options


def action_space(action: Vector) -> gym_spaces.Box:
    """Return the Gymnasium space of an action, physical bounds per control step."""
    return gym_spaces.Box(
        low=np.array(action.low, np.float32), high=np.array(action.high, np.float32)
    )


def observation_space(spaces: Spaces) -> gym_spaces.Dict:
    """Return the Gymnasium space of an observation of the env API."""
    state, times = spaces.state, (*spaces.camera_names, "proprio")
    low, high = (np.array(bound, np.float32) for bound in (state.low, state.high))
    images: dict[str, gym_spaces.Space] = {
        camera.name: gym_spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
        for camera in spaces.cameras
    }
    proprio: dict[str, gym_spaces.Space] = {
        name: gym_spaces.Box(low=low[columns], high=high[columns])
        for name, columns in state.columns().items()
    }
    text = GoalText(min_length=0, max_length=256, charset=GOAL_CHARSET)
    return gym_spaces.Dict(
        {
            "images": gym_spaces.Dict(images),
            "proprio": gym_spaces.Dict(proprio),
            "goal": gym_spaces.Dict({"text": text}),
            "time": gym_spaces.Dict(
                {name: gym_spaces.Box(0.0, MAX_TIME_S, (1,), np.float64) for name in times}
            ),
        }
    )


class RobotEnv(gym.Env[dict[str, Any], np.ndarray]):
    """Base of every env: declared spaces, a fixed control period, seeded resets,
    `info["success"]`.
    """

    spaces: Spaces

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the names of the cameras, in order."""
        return self.spaces.camera_names

    @property
    def control_dt_s(self) -> float:
        return self.spaces.control_dt_s

    @abstractmethod
    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode. `options` may name {"scene": condition, "episode": index}."""

    @abstractmethod
    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one physical action (n,) and return Gymnasium's five values."""
