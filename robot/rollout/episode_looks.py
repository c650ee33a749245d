"""Episodes of a scripted expert, or posed moments, as raw frames: what the data engine makes
records of.
"""

from __future__ import annotations

import mujoco
import numpy as np

from robot.envs.registry import TASKS
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.staging import stage
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.instruct.raw import RawFrame
from robot.rollout.demonstrate import Disturbance
from robot.rollout.raw_frames import raw_frames

LOOK_EVERY = 6  # control steps


def episode_looks(
    env: SimulatedEnv, *, seed: int, index: int, scene: str, looks: int, backend: str
) -> list[list[RawFrame]]:
    """Return what all cameras see at `looks` moments of one episode, the first and the last among
    them; of a task without an expert, the first alone.
    """
    env.reset(seed=seed, options={"episode": index, "scene": scene})
    name = f"{backend}-{env.task.name}-{scene}-{seed}-{index}"
    seen = [list(raw_frames(env, episode=name, frame=0))]
    if env.task.name not in TASKS or looks == 1:
        return seen
    rng = np.random.default_rng([seed, index, 13])
    expert, disturbance, done, step = env.expert(rng=rng), Disturbance(rng), False, 0
    while not done and step < env.horizon:
        done, _ = env.advance(disturbance(expert.act())[None])
        step += 1
        if done or step % LOOK_EVERY == 0:
            seen.append(list(raw_frames(env, episode=name, frame=step)))
    kept = np.unique(np.linspace(0, len(seen) - 1, looks).round().astype(int))
    return [seen[k] for k in kept]


def staged_look(
    env: SimulatedEnv, *, seed: int, index: int, scene: str, backend: str
) -> list[list[RawFrame]]:
    """Return one look at a moment of a tabletop episode that is posed without physics: a scene of
    its own for every index.
    """
    env.reset(seed=seed, options={"episode": index, "scene": scene})
    task, world = env.task, env.sim
    assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld)
    assert task.scene is not None
    stage(world, scene=task.scene, rng=np.random.default_rng([seed, index, 17]))
    mujoco.mj_fwdPosition(env.model, env.data)  # contacts, too
    name = f"{backend}-{task.name}-{scene}-staged-{seed}-{index}"
    return [list(raw_frames(env, episode=name, frame=0))]
