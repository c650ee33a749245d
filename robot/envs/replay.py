"""A recorded dataset behind the env API: what was seen is shown again, whatever is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import UInt8

from robot.envs.env import RobotEnv, action_space, check_reset_options, observation_space
from robot.spaces import Spaces
from robot.types import Episode, InputError


class ReplayEnv(RobotEnv):
    """Recorded episodes, one after the other.

    `reset(options={"episode": k})` starts recorded episode k, a reset without it the next one;
    `step(action)` shows the next recorded observation, whatever the action. The last step of a
    recording ends the episode and shows its last observation again. `info` has what was done there,
    `recorded_action`, and `action_error`, the given action minus it. Goals, success and label maps
    are the recorded ones.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"

    def __init__(
        self, *, spaces: Spaces, indices: Sequence[int], read: Callable[[int], Episode]
    ) -> None:
        if not indices:
            raise InputError("got no recorded episodes, expected at least one; record some first")
        self.spaces, self.indices, self._read = spaces, tuple(sorted(indices)), read
        self.metadata = {**self.metadata, "render_fps": round(1 / spaces.control_dt_s)}
        self.action_space = action_space(spaces.action)
        self.observation_space = observation_space(spaces)
        self.episode: Episode | None = None
        self._next, self._step = 0, 0

    @property
    def goal(self) -> str:
        return self._recorded.goal.text

    @property
    def horizon(self) -> int:
        """Return the control steps of the episode that is shown."""
        return len(self._recorded)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a recorded episode; a seed changes nothing of what was recorded."""
        options = check_reset_options(options, known=("episode",))
        gymnasium.Env.reset(self, seed=seed)  # RobotEnv's own is abstract and seeds nothing
        index = int(options.get("episode", self.indices[self._next]))
        if index not in self.indices:
            raise InputError(
                f"got episode {index}, expected one that was recorded: {_named(self.indices)}"
            )
        self._next = (self.indices.index(index) + 1) % len(self.indices)
        self.episode, self._step = self._read(index), 0
        return self.observe(), {**self._info(), "success": False}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        episode, action = self._recorded, np.asarray(action, np.float32)
        if self._step >= len(episode):
            raise gymnasium.error.ResetNeeded(
                "got a step after the end of the recording, expected env.reset() first"
            )
        names = episode.spaces.action.names
        if action.shape != (len(names),) or not np.isfinite(action).all():
            raise InputError(
                f"got action {action}, expected {len(names)} finite numbers: {', '.join(names)}"
            )
        recorded = episode.actions[self._step]
        self._step += 1
        ended = self._step == len(episode)
        success = ended and episode.success
        info = {
            **self._info(),
            "success": success,
            "recorded_action": recorded.copy(),
            "action_error": action - recorded,
        }
        return self.observe(), float(success), success, ended and not success, info

    def observe(self) -> dict[str, Any]:
        """Return what was seen at this step of the recording."""
        episode, k = self._recorded, self._shown
        now = np.array([self._step * self.control_dt_s])
        state = episode.proprio[k]
        return {
            "images": {camera: episode.images[camera][k].copy() for camera in self.cameras},
            "proprio": {
                name: state[columns].copy() for name, columns in self.spaces.state.columns().items()
            },
            "goal": {"text": episode.goal.text},
            "time": {name: now.copy() for name in (*self.cameras, "proprio")},
        }

    def render(self) -> UInt8[np.ndarray, "h w 3"]:  # type: ignore[override]
        """Return the first camera's frame."""
        return self._recorded.images[self.cameras[0]][self._shown]

    def label_maps(self) -> dict[str, UInt8[np.ndarray, "h w"]]:
        """Return the recorded robot.types.Label per pixel for every camera."""
        labels = self._recorded.labels
        if missing := [camera for camera in self.cameras if camera not in labels]:
            raise InputError(
                f"got a recording without label maps of {', '.join(missing)}, expected those of a "
                "simulator; use learned masks, or none"
            )
        return {camera: labels[camera][self._shown] for camera in self.cameras}

    @property
    def _recorded(self) -> Episode:
        if self.episode is None:
            raise gymnasium.error.ResetNeeded("got no episode yet, expected env.reset() first")
        return self.episode

    @property
    def _shown(self) -> int:
        return min(self._step, len(self._recorded) - 1)

    def _info(self) -> dict[str, Any]:
        episode = self._recorded
        return {"seed": episode.seed, "episode": episode.index, "steps": self._step}


def _named(indices: Sequence[int], *, shown: int = 8) -> str:
    more = f" and {len(indices) - shown} more" if len(indices) > shown else ""
    return ", ".join(map(str, indices[:shown])) + more
