"""Evaluate arms over scenes and tasks, every arm on the same initial states, in parallel
processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from robot.report.statistics import EpisodeResult
from robot.rollout.act import Job, Outcome, make_evaluator
from robot.rollout.agents import make_agent
from robot.system.parallel import parallel_map

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
    faults: Sequence[Mapping[str, Any]] = ()  # of the masks, injected


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
    """Run `episodes` episodes per arm, task and scene; the first `keep` of each keep their
    pictures.
    """
    jobs = [
        Job(arm=arm.name, task=task, scene=scene, index=index, keep=index < keep)
        for task in tasks
        for scene in scenes
        for arm in arms
        for index in range(episodes)
    ]
    how = {
        "seed": seed,
        "execute": execute,
        "ensemble_decay": ensemble_decay,
        "env_options": env_options,
    }
    done: dict[int, Evaluated] = {}
    for number, evaluated in run_jobs(
        jobs, arms={arm.name: arm for arm in arms}, workers=workers, **how
    ):
        done[number] = evaluated
        progress(len(done), len(jobs))
    return [done[number] for number in range(len(jobs))]


def run_jobs(
    jobs: Sequence[Job],
    *,
    arms: Mapping[str, Arm],
    seed: int,
    execute: int,
    ensemble_decay: float | None,
    env_options: Mapping[str, Any],
    workers: int,
) -> Iterator[tuple[int, Evaluated]]:
    """Yield (number of the job, its episode) as they are done; `arms` are by what jobs
    call them.
    """
    make = partial(
        make_evaluator,
        make_agents={called: partial(_agent, arm=arm) for called, arm in arms.items()},
        jobs=jobs,
        env_options=dict(env_options),
        seed=seed,
        execute=execute,
        ensemble_decay=ensemble_decay,
    )
    for number, outcome in parallel_map(make, range(len(jobs)), workers=workers):
        job = jobs[number]
        yield number, Evaluated(_result(job, arms[job.arm], outcome, seed=seed), outcome)


def _agent(env: Any, *, arm: Arm) -> Any:
    return make_agent(
        env,
        policy=arm.policy,
        perception=arm.perception,
        head=arm.head,
        deployment=arm.deployment,
        mask_period=arm.mask_period,
        faults=arm.faults,
    )


def _result(job: Job, arm: Arm, outcome: Outcome, *, seed: int) -> EpisodeResult:
    return EpisodeResult(
        arm=arm.name,
        task=job.task,
        scene=job.scene,
        training_seed=arm.training_seed,
        seed=seed,
        index=job.index,
        success=outcome.success,
        steps=outcome.steps,
        wrong_object=outcome.wrong_object,
        closed_on_object=outcome.closed_on_object,
        mask_iou=outcome.mask_iou if arm.perception == "learned" else None,
        control_ms=outcome.plan_ms,
    )
