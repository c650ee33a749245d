"""What launch/evaluate.py does: any policy in any scene, episode by episode, and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.command_line import Work
from robot.checkpoint import policy_metadata, resolve_checkpoint
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions, check_backend
from robot.envs.registry import check_scene
from robot.envs.tabletop.goals import PAPER_TASKS
from robot.experiment.cells import Entrant, cells_of, evaluate_cells
from robot.experiment.checks import check_once
from robot.experiment.report import Story, write
from robot.perception.head.base import Head
from robot.perception.registry import SOURCES, make_deployment
from robot.policy import load_policy
from robot.report.statistics import NO_CONTEST
from robot.report.table import success_table
from robot.rollout.act import Protocol
from robot.rollout.agents import AgentSpec, check_robot
from robot.system.command import run_folder, write_results
from robot.system.parse import (
    Count,
    FolderName,
    NotNegative,
    NotNegativeNumber,
    Seed,
    options,
    parse,
)
from robot.system.progress import bar
from robot.types import InputError

UNASKED = ({"name": "overlay"}, {"name": "none"})  # defaults of the config group `perception`


@options
class Asked:
    """configs/evaluate.yaml, names resolved."""

    checkpoint: Path
    tasks: tuple[str, ...]
    scenes: tuple[str, ...]
    episodes: Count
    seed: Seed
    head: Path | None
    perception: str | None
    deployment: str | None
    mask_period: Count
    execute: Count
    ensemble_decay: NotNegativeNumber | None
    keep: NotNegative
    name: FolderName | None
    workers: Count
    env: EnvOptions


def evaluation(config: DictConfig) -> Work:
    """Return the evaluation that a config describes, checked."""
    asked = parse_asked(OmegaConf.to_container(config, resolve=True))
    entrant = entrant_of(asked)
    return partial(evaluate, asked, entrant, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def evaluate(asked: Asked, entrant: Entrant, *, config_yaml: str) -> None:
    """Evaluate; results.json is the last line on stdout. A run that was cut off goes on."""
    console = Console()
    if asked.env.goal is not None:
        console.print(f"goal: {asked.env.goal}", markup=False, highlight=False)
    if note := stranger(policy_metadata(asked.checkpoint), tasks=asked.tasks):
        console.print(note)
    protocol = Protocol(
        seed=asked.seed,
        execute=asked.execute,
        ensemble_decay=asked.ensemble_decay,
        env=asked.env,
    )
    with run_folder("evaluate", config_yaml=config_yaml, resume=True) as run:
        cells = cells_of(
            [entrant],
            tasks=asked.tasks,
            scenes=asked.scenes,
            protocol=protocol,
            episodes=asked.episodes,
            root=run / "cells",  # of this run: asked again, episodes are run again
        )
        with bar("evaluate") as moved:
            evaluated = evaluate_cells(
                cells,
                protocol=protocol,
                episodes=asked.episodes,
                keep=asked.keep,
                workers=asked.workers,
                progress=moved,
            )
        story = Story(
            title=f"{entrant.arm} on {', '.join(asked.tasks)}",
            summary=summary_of(asked),
            seeds=f"training {entrant.training_seed}, evaluation {asked.seed}",
            arm=entrant.arm,
            config_yaml=config_yaml,
            look_dt_s=asked.execute * asked.env.control_dt_s,
        )
        findings = write(run, evaluated, story=story)
        console.print(success_table(findings.cells))
        console.print(f"report: {findings.page}")
        given = {} if asked.env.goal is None else {"goal": asked.env.goal}
        write_results(run, findings.as_json() | given)


def summary_of(asked: Asked) -> str:
    """Say what was run: how many episodes, and what they were asked where they were all asked the
    same.
    """
    number = f"{asked.episodes} episodes per task and scene"
    return f"{number}." if asked.env.goal is None else f"{number}, each asked “{asked.env.goal}”."


def parse_asked(values: Any) -> Asked:
    """Parse the config; raise InputError for tasks and scenes that cannot be shown."""
    require_gl()
    perception = values.pop("perception", None)
    if perception and perception["deployment"] not in UNASKED:
        raise InputError(
            f"got perception.deployment={perception['deployment']}, which is for training; here, "
            f"pass deployment={perception['deployment']['name']}"
        )
    goal = goal_of(values.pop("goal"), env=values["env"])
    changed = {
        "env": values["env"] if goal is None else values["env"] | {"goal": goal},
        "checkpoint": resolve_checkpoint(values["checkpoint"]),
        "tasks": names(values.pop("task")),
        "scenes": names(values.pop("scene")),
        "head": Head.resolve(values["head"]),
        "perception": perception["masks"] if perception else None,
    }
    asked = parse(Asked, values | changed)
    if not asked.tasks or not asked.scenes:
        raise InputError(
            f"got task={list(asked.tasks)} and scene={list(asked.scenes)}, expected at least one "
            "of each; pass 'scene=[clean,distract]'"
        )
    check_once(asked.tasks, at="task")
    check_once(asked.scenes, at="scene")
    for task in asked.tasks:
        for scene in asked.scenes:
            check_scene(task, scene)
        check_backend(asked.env.backend, robot=asked.env.robot, task=task)
    if goal is not None and (wordless := sorted(set(asked.scenes) & set(NO_CONTEST))):
        raise InputError(
            f"got goal={goal} with scene={wordless[0]}, a scene made by its own goal, expected one "
            "whose goal can be replaced; leave out one of the two"
        )
    return asked


def goal_of(given: Any, *, env: Mapping[str, object]) -> str | None:
    """Return the goal of all episodes, which `goal=` and `env.goal=` both set; None where they keep
    their own.
    """
    within = env.get("goal")
    if given is not None and within is not None and given != within:
        raise InputError(
            f"got goal={given} and env.goal={within}, expected one sentence; leave out env.goal"
        )
    goal = within if given is None else given
    if goal is None:
        return None
    if not isinstance(goal, str) or not goal.strip():
        raise InputError(f'got goal={goal}, expected a sentence; pass goal="pick up the red cup"')
    return goal


def names(value: Any) -> list[str]:
    """Return a list of names from one name, or several separated by commas."""
    return value if isinstance(value, list) else str(value).split(",")


def entrant_of(asked: Asked) -> Entrant:
    """Return the agent that the checkpoint was trained for, or what the command asks for
    instead.
    """
    trained = policy_metadata(asked.checkpoint)
    policy = load_policy(asked.checkpoint)
    check_robot(asked.checkpoint, asked.env.spaces())
    if asked.execute > policy.horizon:
        raise InputError(
            f"got execute={asked.execute}, expected at most the policy's {policy.horizon} actions "
            "per chunk; lower it"
        )
    perception = asked.perception or trained["masks"]
    if perception not in SOURCES:
        raise InputError(f"got perception={perception}, expected one of {', '.join(SOURCES)}")
    head = asked.head or asked.checkpoint / "mask_head.safetensors"
    if perception == "learned" and not head.exists():
        raise InputError(
            f"got no mask head at {head}, expected one; pass head=tabletop, or perception=oracle "
            "or none"
        )
    deployment = {"name": asked.deployment} if asked.deployment else trained["deployment"]
    agent = AgentSpec(
        policy=asked.checkpoint,
        perception=perception,
        head=head if perception == "learned" else None,
        deployment=make_deployment(**{"name": "none"} if perception == "none" else deployment),
        mask_period=asked.mask_period,
    )
    arm = asked.name or f"{asked.checkpoint.name} ({perception})"
    return Entrant(arm, trained.get("seed", 0), agent)


def stranger(trained: Mapping[str, Any], *, tasks: Sequence[str]) -> str | None:
    """Say that a policy meets tasks which it did not learn; None where it learned them, or its
    checkpoint does not say.
    """
    # demonstrations are named <task>-<scene>-<key>
    learned = {name.partition("-")[0] for name in trained.get("demonstrations", ())}
    known = learned | set(PAPER_TASKS if "place" in learned else ())
    strange = [task for task in tasks if task not in known]
    if not learned or not strange:
        return None
    return f"note: this policy learned {', '.join(sorted(learned))}, not {', '.join(strange)}"
