"""What launch/deploy.py does: an agent drives an arm, episode by episode; a person watches."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import policy_vocabulary, resolve_checkpoint, vocabulary_of
from robot.deploy.options import SIMULATED, LoopOptions, RobotOptions
from robot.deploy.viewer import check_viewer
from robot.envs.make import EnvOptions, check_backend
from robot.envs.registry import check_scene
from robot.errors import InputError
from robot.hardware.teleop.registry import check_operator
from robot.perception.names import resolve_head
from robot.system.parse import Count, FlatSpec, Positive, Seed, options, parse
from robot.words.reader import GoalReader


@options
class Asked:
    """configs/deploy.yaml, names resolved."""

    robot: RobotOptions
    env: EnvOptions
    checkpoint: Path | None
    server: str | None
    exchange: Literal["robot", "openpi"]
    token: str | None
    deadline_s: Positive
    goal: str | None
    yes: bool
    episodes: Count
    episode_s: Positive
    task: str
    scene: str
    seed: Seed
    head: Path | None
    deployment: str | None
    device: str | None
    threads: Count
    record: bool
    videos: bool
    viewer: str | None
    operator: Literal["lines", "none"]
    teleop: FlatSpec | None
    loop: LoopOptions


def running(config: DictConfig) -> Work:
    """Return the work that a config describes, checked; nothing is connected yet."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse_asked(values)
    if asked.teleop is not None:
        check_operator(asked.teleop)  # and its package
    from launch.driving import run  # torch: seconds

    return partial(run, asked, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def parse_asked(values: Any) -> Asked:
    """Parse the config; raise InputError for what cannot be run."""
    checkpoint = values["checkpoint"]
    changed = {
        "checkpoint": None if checkpoint is None else resolve_checkpoint(checkpoint),
        "head": None if values["head"] is None else resolve_head(values["head"]),
        "teleop": values.get("teleop"),
    }
    asked = parse(Asked, values | changed)
    check_policy(asked)
    check_world(asked.robot, asked.env, task=asked.task, scene=asked.scene, goal=asked.goal)
    check_goal(asked)
    check_terminal(yes=asked.yes)
    if asked.viewer is not None:
        check_viewer(asked.viewer)
    return asked


def check_world(
    robot: RobotOptions, env: EnvOptions, *, task: str, scene: str, goal: str | None
) -> None:
    """Raise InputError for a scene that cannot be shown, or a real robot without a goal."""
    if goal is not None and not goal.strip():
        raise InputError('got an empty goal, expected words; pass goal="pick up the red cup"')
    if robot.kind in SIMULATED:
        check_scene(task, scene)
        check_backend(env.backend, robot=env.robot, task=task)
        if env.backend == "libero":
            raise InputError(
                f"got env=libero with robot={robot.kind}, expected a simulator that runs in real "
                "time: pass env=mujoco, or evaluate with launch/evaluate.py env=libero"
            )
        return
    if goal is None:
        raise InputError(
            f'got robot={robot.kind} without a goal, expected a sentence; pass goal="pick up the '
            'red cup"'
        )


def check_terminal(*, yes: bool) -> None:
    """Raise InputError where nobody can be asked whether the arm may move."""
    if not yes and not sys.stdin.isatty():
        raise InputError(
            "got no terminal to ask in whether the arm may move, expected one; pass yes=true where "
            "a script is to move it"
        )


def check_policy(asked: Asked) -> None:
    """Raise InputError unless it is said where the policy is, once."""
    if (asked.checkpoint is None) == (asked.server is None):
        raise InputError(
            f"got checkpoint={asked.checkpoint} and server={asked.server}, expected one of the "
            "two; pass checkpoint=tabletop, or server=ws://127.0.0.1:8000"
        )
    if asked.server is not None and asked.exchange == "openpi" and asked.head is None:
        raise InputError(
            "got exchange=openpi without a mask head, expected one: its masks hide what the goal "
            "does not need; pass head=tabletop"
        )


def check_goal(asked: Asked) -> None:
    """Raise InputError unless the goal asks for something that head or policy learned; a server
    says itself what it learned.
    """
    learned = asked.head or asked.checkpoint
    if asked.goal is None or learned is None:
        return
    vocabulary = policy_vocabulary(learned) if asked.head is None else vocabulary_of(learned)
    GoalReader.of(vocabulary).require(asked.goal)
