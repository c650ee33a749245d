"""What launch/record.py does: a person drives an arm; what he does becomes demonstrations."""

from __future__ import annotations

from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from launch.running import check_terminal, check_world
from robot.deploy.options import RobotOptions
from robot.deploy.viewer import check_viewer
from robot.envs.make import EnvOptions
from robot.hardware.teleop.registry import check_operator
from robot.system.parse import Count, FlatSpec, Positive, Seed, options, parse


@options
class Asked:
    """configs/record.yaml."""

    robot: RobotOptions
    env: EnvOptions
    teleop: FlatSpec
    goal: str | None
    yes: bool
    episodes: Count
    episode_s: Positive
    task: str
    scene: str
    seed: Seed
    videos: bool
    viewer: str | None


def demonstrating(config: DictConfig) -> Work:
    """Return the work that a config describes, checked; nothing is connected yet."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Asked, values)
    check_world(asked.robot, asked.env, task=asked.task, scene=asked.scene, goal=asked.goal)
    check_terminal(yes=asked.yes)
    check_operator(asked.teleop)
    if asked.viewer is not None:
        check_viewer(asked.viewer)
    from launch.recording import record  # torch: seconds

    return partial(record, asked, config_yaml=OmegaConf.to_yaml(config, resolve=True))
