"""Evaluate arms over scenes and tasks, every arm on the same initial states, in parallel processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from robot.pipeline.loading import make_agent
from robot.report.statistics import EpisodeResult
from robot.rollout.evaluate import Job, Outcome, make_evaluator
from robot.rollout.parallel import parallel_map

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Arm:
    """One way to see and act: a policy checkpoint and the masks it looks through."""

    name: str
    policy: Path
    perception: str
    head: Path | None
    deployment: Mapping[str, Any]
    training_seed: int = 0
    mask_period: int = 1


@dataclass(frozen=True)
class Evaluated:
    """One episode: its numbers, and what is kept for pictures."""

    result: EpisodeResult
    outcome: Outcome


def evaluate(
    arms: Sequence[Arm],
    *,
    tasks: Sequence[str],
    scenes: Sequence[str],
    episodes: int,
    seed: int,
    execute: int,
    ensemble_decay: float | None,
    env_options: Mapping[str, Any],
    keep: int,
    workers: int,
    progress: Progress,
) -> list[Evaluated]:
    """Run `episodes` episodes per arm, task and scene; the first `keep` of each keep their pictures."""
    by_name = {arm.name: arm for arm in arms}
    jobs = [
        Job(arm=arm.name, task=task, scene=scene, index=index, keep=index < keep)
        for task in tasks
        for scene in scenes
        for arm in arms
        for index in range(episodes)
    ]
    make = partial(
        make_evaluator,
        make_agents={arm.name: partial(_agent, arm=arm) for arm in arms},
        jobs=jobs,
        env_options=dict(env_options),
        seed=seed,
        execute=execute,
        ensemble_decay=ensemble_decay,
    )
    done: dict[int, Outcome] = {}
    for item, outcome in parallel_map(make, range(len(jobs)), workers=workers):
        done[item] = outcome
        progress(len(done), len(jobs))
    return [Evaluated(_result(jobs[k], by_name[jobs[k].arm], done[k], seed=seed), done[k]) for k in range(len(jobs))]


def _agent(env: Any, *, arm: Arm) -> Any:
    return make_agent(
        env,
        policy=arm.policy,
        perception=arm.perception,
        head=arm.head,
        deployment=arm.deployment,
        mask_period=arm.mask_period,
    )


def _result(job: Job, arm: Arm, outcome: Outcome, *, seed: int) -> EpisodeResult:
    return EpisodeResult(
        arm=job.arm,
        task=job.task,
        scene=job.scene,
        training_seed=arm.training_seed,
        seed=seed,
        index=job.index,
        success=outcome.success,
        steps=outcome.steps,
        wrong_object=outcome.wrong_object,
        mask_iou=outcome.mask_iou if arm.perception == "learned" else None,
        control_ms=outcome.plan_ms,
    )
