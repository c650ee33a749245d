"""An agent in an env, episode by episode: success, what it held, its masks against the truth, its
time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from robot.agent import FAR_OUTSIDE, Agent, Plan
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.policy.chunking import ChunkExecutor
from robot.rollout.agents import AgentSpec, make_agent
from robot.types import MASK_CHANNELS, Label, Observation

FAULTS_STREAM = 2  # of the random streams of (seed, index): the sensor's is 1
FAILURES_KEPT = 4  # of a cell's first episodes, those that fail keep how they began and ended
KEPT_AGENTS = 4  # per process: each holds its networks and a language model


@dataclass(frozen=True)
class Snapshot:
    """What is kept of one decision for pictures. The last one is of the end of the episode, after
    which nothing was decided any more: its frames are new, what the policy saw is that of the
    decision before.
    """

    images: Mapping[str, np.ndarray]  # camera -> uint8 (H, W, 3)
    probability: tuple[np.ndarray, ...]  # (3, H, W) per camera
    composites: np.ndarray  # (N, 3, h, w) in [0, 1], the RGB the policy saw
    motion: tuple[Mapping[str, np.ndarray], ...] = ()  # images on the way to the next, evenly


@dataclass(frozen=True)
class Outcome:
    """One evaluated episode. `success` is None where a given goal names no object of the scene, so
    that nobody can tell; `mask_iou` is the mean IoU of the target's mask over frames that show it
    (None: none did).
    """

    success: bool | None
    steps: int
    wrong_object: bool
    closed_on_object: bool
    mask_iou: float | None
    plan_ms: tuple[float, ...]
    goal: str
    snapshots: tuple[Snapshot, ...] = field(default=(), repr=False)
    failure: tuple[Snapshot, Snapshot] | None = field(default=None, repr=False)  # first and last


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How every episode is run: initial states are those of `seed`, `execute` actions of a chunk
    are executed per decision, overlapping chunks averaged where `ensemble_decay` says how.
    """

    seed: int
    execute: int
    ensemble_decay: float | None
    env: EnvOptions


def evaluate_episode(
    env: SimulatedEnv, agent: Agent, *, protocol: Protocol, scene: str, index: int, keep: bool
) -> Outcome:
    """Run episode `index` in `scene`; `keep` keeps a snapshot of every look; those
    of the first FAILURES_KEPT that fail keep two in any case.
    """
    seed, execute = protocol.seed, protocol.execute
    raw, info = env.reset(seed=seed, options={"episode": index, "scene": scene})
    agent.reset(rng=np.random.default_rng([seed, index, FAULTS_STREAM]))
    executor = ChunkExecutor(execute=execute, ensemble_decay=protocol.ensemble_decay)
    generator = torch.Generator().manual_seed(seed * 100_003 + index)
    plans, ious, snapshots, done, wrong = [], [], [], False, False
    while not done:
        observation = Observation.from_env(raw, env.spaces)
        plan = agent.plan(observation, generator=generator)
        plans.append(plan.mask_ms + plan.policy_ms)
        ious += _ious(env, plan)
        if keep or (index < FAILURES_KEPT and not snapshots):
            snapshots.append(_snapshot(observation, plan))
        executor.add(plan.chunk.actions)
        actions = np.stack(
            [executor.next_action() for _ in range(min(execute, len(plan.chunk.actions)))]
        )
        film = Film(env, every=film_every(execute)) if keep else None
        raw, _, terminated, truncated, info = env.execute(actions, between=film)
        if film is not None:
            snapshots[-1] = replace(snapshots[-1], motion=tuple(film.images))
        wrong |= info["wrong_object"]
        done = terminated or truncated
    if snapshots:
        end = Observation.from_env(raw, env.spaces)
        snapshots.append(replace(snapshots[-1], images=_images(end), motion=()))
    success = bool(info["success"]) if env.judged else None
    failed = bool(snapshots) and success is False
    return Outcome(
        success=success,
        steps=int(info["steps"]),
        wrong_object=wrong,
        closed_on_object=wrong or bool(success),
        mask_iou=float(np.mean(ious)) if ious else None,
        plan_ms=tuple(plans),
        goal=env.goal,
        snapshots=tuple(snapshots) if keep else (),
        failure=(snapshots[0], snapshots[-1]) if failed else None,
    )


class Film:
    """Keeps what the cameras show between the control steps of one `execute`."""

    def __init__(self, env: SimulatedEnv, *, every: int) -> None:
        self.images: list[Mapping[str, np.ndarray]] = []
        self._env, self._every = env, every

    def __call__(self, steps: int) -> None:
        if steps % self._every == 0:
            self.images.append(self._env.views())


def film_every(execute: int) -> int:
    """Return the control steps between two images of a film that also shows every decision."""
    return 2 if execute % 2 == 0 else 1


def _ious(env: SimulatedEnv, plan: Plan) -> list[float]:
    """Return the IoU of the target channel with the truth, for the cameras that show the target."""
    ious = []
    for roles, truth in zip(plan.mask.probability, env.label_maps().values(), strict=True):
        wanted, masked = truth == Label.TARGET, roles[MASK_CHANNELS.index(Label.TARGET)] > 0.5
        if wanted.sum() >= 6:
            ious.append(float((wanted & masked).sum() / (wanted | masked).sum()))
    return ious


def _snapshot(observation: Observation, plan: Plan) -> Snapshot:
    return Snapshot(
        images=_images(observation),
        probability=plan.mask.probability,
        composites=plan.composites[:, :3].numpy(),
    )


def _images(observation: Observation) -> dict[str, np.ndarray]:
    return {frame.camera: frame.image for frame in observation.frames}


@dataclass(frozen=True)
class Job:
    """One episode to evaluate with agent number `agent`; `keep` keeps its pictures."""

    agent: int
    task: str
    scene: str
    index: int
    keep: bool = False


def make_evaluator(
    *, agents: Sequence[AgentSpec], jobs: Sequence[Job], protocol: Protocol
) -> Callable[[int], Outcome]:
    """Return work for `parallel_map`: evaluate `jobs[item]`. Env and agents are made when first
    needed.

    The last KEPT_AGENTS agents are kept, so jobs should come agent by agent where there are more.
    """
    # The spaces are checked: here a state far outside of training means a policy off its path.
    warnings.filterwarnings("ignore", message=FAR_OUTSIDE)
    env = make_env(jobs[0].task, protocol.env)
    kept: dict[int, Agent] = {}

    def work(item: int) -> Outcome:
        job = jobs[item]
        env.switch_task(job.task)
        if job.agent not in kept:
            if len(kept) == KEPT_AGENTS:
                del kept[next(iter(kept))]
            kept[job.agent] = _warmed_up(make_agent(env, agents[job.agent]), env)
        return evaluate_episode(
            env,
            kept[job.agent],
            protocol=protocol,
            scene=job.scene,
            index=job.index,
            keep=job.keep,
        )

    return work


def _warmed_up(agent: Agent, env: SimulatedEnv) -> Agent:
    """Let an agent decide twice: the first time loads the language model, and belongs to no
    measurement.
    """
    for _ in range(2):
        agent.plan(Observation.from_env(env.reset(seed=0)[0], env.spaces))
    return agent
