"""What a comparison is: the sections of configs/train_policy.yaml as frozen types, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from robot.envs.make import EnvOptions
from robot.experiment.collect import MaskFrameOptions
from robot.perception.head.base import Head
from robot.rollout.corrupt import Mixture
from robot.system.parse import (
    Count,
    FlatSpec,
    FolderName,
    NotNegative,
    NotNegativeNumber,
    Seed,
    options,
    parse,
)
from robot.train.demonstration_discriminator import Scoring
from robot.train.loop import Training

Wandb = Literal["auto", "online", "offline", "disabled"]


@options
class Quality:
    """Machine demonstrations beside the trusted ones: how many per arm, and what they are made
    of.
    """

    episodes: Count
    seed: Seed
    corrupted: float
    kinds: Mapping[str, float]

    def __post_init__(self) -> None:
        _ = self.mixture  # raises where shares or kinds are wrong

    @property
    def mixture(self) -> Mixture:
        return Mixture(corrupted=self.corrupted, kinds=dict(self.kinds))


@options
class Data:
    """Demonstrations and mask frames: what is missing under `root` is collected."""

    root: Path
    episodes: Count
    seed: Seed
    quality: Quality | None
    mask_frames: MaskFrameOptions

    @property
    def tiers(self) -> tuple[int, ...]:
        """Return how many demonstrations of each tier an arm gets: trusted, and machine ones where
        there are any.
        """
        return (self.episodes,) if self.quality is None else (self.episodes, self.quality.episodes)


@options
class Evaluation:
    """Episodes of every arm on every task in every scene, the same initial states for all arms.

    `execute` actions of a chunk are executed per decision, `keep` episodes of a cell are filmed.
    The mask head is measured in `mask_scenes`; `headline_scene` is that of the report's headline.
    """

    tasks: tuple[str, ...]
    scenes: tuple[str, ...]
    episodes: Count
    seed: Seed
    execute: Count
    ensemble_decay: NotNegativeNumber | None
    keep: NotNegative
    mask_scenes: tuple[str, ...] = ()
    mask_scenes_each: Count = 30
    headline_scene: str | None = None

    @property
    def headline(self) -> str | None:
        """Return the scene of the headline where it is evaluated."""
        return self.headline_scene if self.headline_scene in self.scenes else None


@options
class Common:
    """What all arms of a comparison share. `head` is used as it is, `head_start` trained on."""

    name: FolderName
    task: str
    seeds: tuple[Seed, ...]  # of training: every arm is trained once with each
    data: Data
    scoring: Scoring
    train: Training
    batch_size: Count
    look_every: Count
    mask_head: FlatSpec
    mask_training: Training
    mask_batch_size: Count
    head_start: Path | None
    head: Path | None
    env: EnvOptions
    evaluation: Evaluation
    workers: Count
    wandb: Wandb


def common_of(config: Mapping[str, Any]) -> Common:
    """Parse what the arms share from a command's resolved config."""
    scoring = {name: value for name, value in config["scoring"].items() if name != "horizon"}
    section = {
        name: config[name]
        for name in (
            *("name", "task", "data", "train", "batch_size", "mask_head", "mask_training"),
            *("look_every", "mask_batch_size", "env", "evaluation", "workers", "wandb"),
        )
        if name in config  # `~name` on the command line leaves it out: the parser says so
    }
    return parse(
        Common,
        section
        | {
            "seeds": tuple(config["seed"] + k for k in range(config["training_seeds"])),
            "scoring": scoring | {"head": Head.resolve(scoring["head"])},
            "head_start": Head.resolve(config["head_start"]),
            "head": Head.resolve(config["head"]),
        },
    )
