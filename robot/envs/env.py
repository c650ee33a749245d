"""THE env API: robosuite is behind it, and a driver of a real arm is to be.

Observation: {"images": {camera: uint8 (H, W, 3) RGB upright}, "proprio": {"ee_position" m (3),
"ee_rotation" 6-D, "gripper" opening 0..1 (1)}, "goal": {"text"}, "time": {camera and "proprio":
monotonic s (1)}}. Action: float32 (7): end-effector delta position [m], delta rotation vector
[rad], both per control step in the robot's base frame, and the gripper target (0 closed .. 1 open).
"""

from __future__ import annotations

import string
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

MAX_TIME_S = 1e9  # thirty years: bounds of a space have to be finite
GOAL_CHARSET = string.ascii_letters + string.digits + string.punctuation + " "


def action_space(*, max_delta_m: float, max_delta_rad: float) -> spaces.Box:
    """Return the (7,) action space with physical bounds per control step."""
    high = np.array([max_delta_m] * 3 + [max_delta_rad] * 3 + [1.0], dtype=np.float32)
    low = np.array([-max_delta_m] * 3 + [-max_delta_rad] * 3 + [0.0], dtype=np.float32)
    return spaces.Box(low=low, high=high, dtype=np.float32)


def observation_space(*, cameras: Sequence[str], image_size: int) -> spaces.Dict:
    """Return the observation space of the env API for square images of `image_size` pixels."""

    def image():
        return spaces.Box(low=0, high=255, shape=(image_size, image_size, 3), dtype=np.uint8)

    def vector(size, low, high):
        return spaces.Box(low=low, high=high, shape=(size,), dtype=np.float32)

    def time():
        return spaces.Box(low=0.0, high=MAX_TIME_S, shape=(1,), dtype=np.float64)

    return spaces.Dict(
        {
            "images": spaces.Dict({camera: image() for camera in cameras}),
            "proprio": spaces.Dict(
                {
                    "ee_position": vector(3, -2.0, 2.0),
                    "ee_rotation": vector(6, -1.0, 1.0),
                    "gripper": vector(1, 0.0, 1.0),
                }
            ),
            "goal": spaces.Dict(
                {"text": spaces.Text(min_length=0, max_length=256, charset=GOAL_CHARSET)}
            ),
            "time": spaces.Dict({name: time() for name in (*cameras, "proprio")}),
        }
    )


class RobotEnv(gym.Env[dict[str, Any], np.ndarray]):
    """Base of every env: fixed cameras, a fixed control period, seeded resets,
    `info["success"]`.
    """

    control_dt_s: float
    cameras: tuple[str, ...]
    image_size: int

    @abstractmethod
    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode. `options` may name {"scene": condition, "episode": index}."""

    @abstractmethod
    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one physical action (7,) and return Gymnasium's five values."""
