"""A scripted expert in an env, recorded as an Episode: what a person with a teleoperation device
would leave behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.store import EpisodeStore
from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.make import DEFAULT_BACKEND, Backend, EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.task import Expert
from robot.types import Episode, Goal, Observation

MakeExpert = Callable[[SimulatedEnv, np.random.Generator], Expert]

# Noise on what is executed and not on what is recorded: demonstrations then show how to come back
# (DART, Laskey et al. 2017).
NOISE_M = 0.004
BURST_CHANCE, BURST_STEPS, BURST_M = 0.04, 4, 0.02
TRIES = 5  # other random streams of the expert before a hopeless episode is given up


def demonstrate(env: SimulatedEnv, *, seed: int, index: int, scene: str) -> Episode | None:
    """Return a successful demonstration of episode (seed, index), or None when the expert failed
    TRIES times.
    """
    for number in range(TRIES):
        episode = attempt(
            env,
            seed=seed,
            index=index,
            scene=scene,
            rng=np.random.default_rng([seed, index, 7, number]),
        )
        if episode.success:
            return episode
    return None


def attempt(
    env: SimulatedEnv,
    *,
    seed: int,
    index: int,
    scene: str,
    rng: np.random.Generator,
    make_expert: MakeExpert | None = None,
    until: Callable[[Mapping], bool] = lambda info: False,
    limit: int | None = None,
) -> Episode:
    """Record one try, a success or not.

    `make_expert` says who acts (by default the task's expert); success, the horizon, `until(info)`
    and `limit` steps end it.
    """
    observation, info = env.reset(seed=seed, options={"episode": index, "scene": scene})
    expert = env.expert(rng=rng) if make_expert is None else make_expert(env, rng)
    disturbance = Disturbance(rng)
    for action in expert.perturbed_start():  # not recorded: the demonstration begins where it leads
        observation, *_ = env.step(action)
    seen, labels, actions, done = [], [], [], False
    while not done:
        seen.append(Observation.from_env(observation, env.spaces))
        labels.append(env.label_maps())
        actions.append(expert.act())
        observation, _, success, truncated, info = env.step(disturbance(actions[-1]))
        done = success or truncated or until(info) or len(actions) == limit
    cameras = {c: [o.frames[k].image for o in seen] for k, c in enumerate(env.cameras)}
    return Episode(
        task=env.task.name,
        goal=Goal(env.goal),
        images={camera: np.stack(images) for camera, images in cameras.items()},
        labels={camera: np.stack([maps[camera] for maps in labels]) for camera in env.cameras},
        proprio=np.stack([o.proprio for o in seen]),
        actions=np.stack(actions).astype(np.float32),
        spaces=env.spaces,
        control_dt_s=env.control_dt_s,
        success=bool(info["success"]),
        seed=seed,
        index=index,
        scene=scene,
    )


class Disturbance:
    """Pushes executed actions off course: a little at every step, and for a few steps now
    and then.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._burst, self._left = rng, np.zeros(3), 0

    def __call__(self, action: np.ndarray) -> np.ndarray:
        if self._left == 0 and self._rng.random() < BURST_CHANCE:
            self._burst, self._left = self._rng.normal(0.0, BURST_M, 3), BURST_STEPS
        push = self._rng.normal(0.0, NOISE_M, 3) + (self._burst if self._left else 0.0)
        self._left = max(0, self._left - 1)
        return np.concatenate([action[:3] + push, action[3:]]).astype(np.float32)


def make_demonstrator(
    *,
    root: Path,
    task: str,
    scene: str,
    seed: int,
    image_size: int,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: record episode `index` into the store at `root`, return its
    length in steps.
    """
    env = make_env(task, EnvOptions(backend=backend, robot=robot, image_size=image_size))
    store = EpisodeStore(root)
    return partial(_record, env=env, store=store, scene=scene, seed=seed)


def _record(index: int, *, env: SimulatedEnv, store: EpisodeStore, scene: str, seed: int) -> int:
    episode = demonstrate(env, seed=seed, index=index, scene=scene)
    if episode is None:
        return 0
    store.append(episode)
    return len(episode)
