"""What launch/evaluate.py does: any policy in any scene, episode by episode, and a report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import (
    check_robot,
    policy_metadata,
    policy_vocabulary,
    read_header,
    resolve_checkpoint,
    vocabulary_of,
)
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions, check_backend
from robot.envs.registry import check_scene
from robot.errors import InputError
from robot.experiment.early import check_once
from robot.experiment.options import Wandb
from robot.perception.names import SOURCES, check_deployment, resolve_head
from robot.report.statistics import NO_CONTEST
from robot.system.parse import (
    Count,
    FolderName,
    NotNegative,
    NotNegativeNumber,
    Seed,
    options,
    parse,
)
from robot.train.log import check_mode
from robot.words.reader import GoalReader

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
    wandb: Wandb
    env: EnvOptions


def evaluation(config: DictConfig) -> Work:
    """Return the evaluation that a config describes, checked."""
    asked = parse_asked(OmegaConf.to_container(config, resolve=True))
    check_asked(asked)
    from launch.evaluating import entrant_of, evaluate  # torch: seconds

    entrant = entrant_of(asked)
    return partial(evaluate, asked, entrant, config_yaml=OmegaConf.to_yaml(config, resolve=True))


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
        "head": None if values["head"] is None else resolve_head(values["head"]),
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


def perception_of(asked: Asked) -> str:
    """Return what the agent sees through: as asked, or as the policy was trained."""
    perception = asked.perception or policy_metadata(asked.checkpoint)["masks"]
    if perception not in SOURCES:
        raise InputError(f"got perception={perception}, expected one of {', '.join(SOURCES)}")
    return perception


def head_of(asked: Asked) -> Path:
    """Return the file of the mask head: as asked, or that beside the policy."""
    return asked.head or asked.checkpoint / "mask_head.safetensors"


def goal_reader(asked: Asked) -> GoalReader:
    """Return what reads the goal: in the words of the mask head, or without one of the policy."""
    learned = perception_of(asked) == "learned"
    head = head_of(asked)
    return GoalReader.of(vocabulary_of(head) if learned else policy_vocabulary(asked.checkpoint))


def check_asked(asked: Asked) -> None:
    """Check what a checkpoint says about itself against what it is asked, without reading its
    weights.
    """
    horizon = read_header(asked.checkpoint)["config"].get("horizon", asked.execute)
    check_robot(asked.checkpoint, asked.env.spaces())
    if asked.execute > horizon:
        raise InputError(
            f"got execute={asked.execute}, expected at most the policy's {horizon} actions per "
            "chunk; lower it"
        )
    if perception_of(asked) == "learned" and not head_of(asked).exists():
        raise InputError(
            f"got no mask head at {head_of(asked)}, expected one; pass head=tabletop, or "
            "perception=oracle or none"
        )
    if asked.env.goal is not None:
        goal_reader(asked).require(asked.env.goal)
    check_mode(asked.wandb)
    if asked.deployment is not None:
        check_deployment(asked.deployment, {})
