"""What an agent sees along a scripted expert's episodes: times are of real masks on real frames,
not of noise.

With token dropping a policy's time depends on how much its mask covers, and with noise that is
anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import track

from robot.envs.robosuite import RobosuiteEnv
from robot.rollout.demonstrate import attempt
from robot.types import Episode, Frame, Observation

LOOK_EVERY = 8  # control steps: an agent looks once per chunk that it executes


@dataclass(frozen=True)
class Look:
    """One observation, and a robot.types.Label per pixel of each of its frames."""

    observation: Observation
    labels: UInt8[np.ndarray, "n h w"]


def expert_looks(
    *, task: str, scene: str, episodes: int, seed: int, console: Console
) -> list[Look]:
    """Return every LOOK_EVERY-th control step of an expert's episodes, whether they
    succeed or not.
    """
    env, looks = RobosuiteEnv(task=task), []
    for index in track(range(episodes), description="looks", console=console, transient=True):
        episode = attempt(
            env, seed=seed, index=index, scene=scene, rng=np.random.default_rng([seed, index])
        )
        looks += [_look(episode, step) for step in range(0, len(episode), LOOK_EVERY)]
    env.close()
    return looks


def _look(episode: Episode, step: int) -> Look:
    time_s = step * episode.control_dt_s
    frames = tuple(
        Frame(camera=name, image=images[step], time_s=time_s)
        for name, images in episode.images.items()
    )
    observation = Observation(
        frames=frames, proprio=episode.proprio[step], goal=episode.goal, time_s=time_s
    )
    return Look(
        observation=observation,
        labels=np.stack([labels[step] for labels in episode.labels.values()]),
    )
