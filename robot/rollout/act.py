"""An agent in an env, episode by episode: success, what it held, its masks against the truth, its
time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from robot.agent import Agent, Plan
from robot.envs.robosuite import RobosuiteEnv
from robot.policy.chunking import ChunkExecutor
from robot.types import MASK_CHANNELS, Label, Observation

FAULTS_STREAM = 2  # of the random streams of (seed, index): the sensor's is 1
KEPT_AGENTS = 4  # per process: each holds its networks and a language model


@dataclass(frozen=True)
class Snapshot:
    """What is kept of one decision for pictures."""

    images: Mapping[str, np.ndarray]  # camera -> uint8 (H, W, 3)
    probability: tuple[np.ndarray, ...]  # (3, H, W) per camera
    composites: np.ndarray  # (N, 3, h, w) in [0, 1], the RGB the policy saw


@dataclass(frozen=True)
class Outcome:
    """One evaluated episode. `mask_iou` is the mean IoU of the target's mask over frames that show
    it (None: none did).
    """

    success: bool
    steps: int
    wrong_object: bool
    closed_on_object: bool
    mask_iou: float | None
    plan_ms: tuple[float, ...]
    goal: str
    snapshots: tuple[Snapshot, ...] = field(default=(), repr=False)


def evaluate_episode(
    env: RobosuiteEnv,
    agent: Agent,
    *,
    seed: int,
    index: int,
    scene: str,
    execute: int,
    ensemble_decay: float | None,
    keep: bool,
) -> Outcome:
    """Run one episode. The agent looks once per `execute` control steps; `keep` keeps a snapshot of
    every look.
    """
    raw, info = env.reset(seed=seed, options={"episode": index, "scene": scene})
    agent.reset(rng=np.random.default_rng([seed, index, FAULTS_STREAM]))
    executor = ChunkExecutor(execute=execute, ensemble_decay=ensemble_decay)
    generator = torch.Generator().manual_seed(seed * 100_003 + index)
    plans, ious, snapshots, done, wrong = [], [], [], False, False
    while not done:
        observation = Observation.from_env(raw, env.spaces)
        plan = agent.plan(observation, generator=generator)
        plans.append(plan.mask_ms + plan.policy_ms)
        ious += _ious(env, plan)
        if keep:
            snapshots.append(_snapshot(observation, plan))
        executor.add(plan.chunk.actions)
        actions = np.stack(
            [executor.next_action() for _ in range(min(execute, len(plan.chunk.actions)))]
        )
        raw, _, terminated, truncated, info = env.execute(actions)
        wrong |= info["wrong_object"]
        done = terminated or truncated
    return Outcome(
        success=bool(info["success"]),
        steps=int(info["steps"]),
        wrong_object=wrong,
        closed_on_object=wrong or bool(info["success"]),
        mask_iou=float(np.mean(ious)) if ious else None,
        plan_ms=tuple(plans),
        goal=env.goal,
        snapshots=tuple(snapshots),
    )


def _ious(env: RobosuiteEnv, plan: Plan) -> list[float]:
    """Return the IoU of the target channel with the truth, for the cameras that show the target."""
    ious = []
    for roles, truth in zip(plan.mask.probability, env.label_maps().values(), strict=True):
        wanted, said = truth == Label.TARGET, roles[MASK_CHANNELS.index(Label.TARGET)] > 0.5
        if wanted.sum() >= 6:
            ious.append(float((wanted & said).sum() / (wanted | said).sum()))
    return ious


def _snapshot(observation: Observation, plan: Plan) -> Snapshot:
    return Snapshot(
        images={frame.camera: frame.image for frame in observation.frames},
        probability=plan.mask.probability,
        composites=plan.composites[:, :3].numpy(),
    )


@dataclass(frozen=True)
class Job:
    """One episode to evaluate; `keep` keeps its pictures."""

    arm: str
    task: str
    scene: str
    index: int
    keep: bool = False


def _warmed_up(agent: Agent, env: RobosuiteEnv) -> Agent:
    """Let an agent decide twice: the first time loads the language model, and belongs to no
    measurement.
    """
    for _ in range(2):
        agent.plan(Observation.from_env(env.reset(seed=0)[0], env.spaces))
    return agent


def make_evaluator(
    *,
    make_agents: Mapping[str, Callable[[RobosuiteEnv], Agent]],
    jobs: Sequence[Job],
    env_options: Mapping[str, Any],
    seed: int,
    execute: int,
    ensemble_decay: float | None,
) -> Callable[[int], Outcome]:
    """Return work for `parallel_map`: evaluate `jobs[item]`. Env and agents are made when first
    needed.

    The last KEPT_AGENTS agents are kept, so jobs should come arm by arm where there are more arms
    than that.
    """
    env = RobosuiteEnv(task=jobs[0].task, **env_options)
    agents: dict[str, Agent] = {}

    def work(item: int) -> Outcome:
        job = jobs[item]
        env.switch_task(job.task)
        if job.arm not in agents:
            if len(agents) == KEPT_AGENTS:
                del agents[next(iter(agents))]
            agents[job.arm] = _warmed_up(make_agents[job.arm](env), env)
        how = {
            "seed": seed,
            "index": job.index,
            "scene": job.scene,
            "execute": execute,
            "ensemble_decay": ensemble_decay,
        }
        return evaluate_episode(env, agents[job.arm], keep=job.keep, **how)  # type: ignore[arg-type]

    return work
