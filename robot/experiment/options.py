"""Sections of a comparison's config as frozen types, all but those whose parsing needs torch: a
config that is refused is refused without importing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robot.envs.make import EnvOptions
from robot.envs.registry import TABLETOP
from robot.experiment.collect import MaskFrameOptions
from robot.perception.names import resolve_head
from robot.rollout.corrupt import Mixture
from robot.system.parse import (
    Count,
    FlatSpec,
    FolderName,
    NotNegative,
    NotNegativeNumber,
    Seed,
    Share,
    options,
    parse,
)
from robot.train.options import Training

if TYPE_CHECKING:
    from robot.experiment.arm_options import ArmOptions

Wandb = Literal["auto", "online", "offline", "disabled"]


MACHINE_TO_TRUSTED = 3  # demonstrations


@options
class Quality:
    """Machine demonstrations beside the trusted ones: how many per arm, and what they are made
    of.
    """

    episodes: Count | None  # None: MACHINE_TO_TRUSTED times the trusted ones
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
    """Demonstrations and mask frames: what is missing under `root` is collected. `records` is a
    data set of launch/generate.py, from which mask heads learn, too.
    """

    root: Path
    episodes: Count
    seed: Seed
    quality: Quality | None
    mask_frames: MaskFrameOptions
    records: Path | None = None

    @property
    def tiers(self) -> tuple[int, ...]:
        """Return how many demonstrations of each tier an arm gets: trusted, and machine ones where
        there are any.
        """
        if self.quality is None:
            return (self.episodes,)
        return self.episodes, self.quality.episodes or MACHINE_TO_TRUSTED * self.episodes


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
class CommonOptions:
    """What all arms of a comparison share. `head` is used as it is, `head_start` trained on."""

    name: FolderName
    task: str
    seeds: tuple[Seed, ...]  # of training: every arm is trained once with each
    data: Data
    train: Training
    batch_size: Count
    look_every: Count
    mask_head: FlatSpec
    mask_training: Training
    mask_batch_size: Count
    mask_hue_share: Share
    head_start: Path | None
    head: Path | None
    env: EnvOptions
    evaluation: Evaluation
    workers: Count
    wandb: Wandb


def common_section(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of CommonOptions in a command's resolved config."""
    section = {
        name: config[name]
        for name in (
            *("name", "task", "data", "train", "batch_size", "mask_head", "mask_training"),
            *("look_every", "mask_batch_size", "mask_hue_share", "env", "evaluation"),
            *("workers", "wandb"),
        )
        if name in config  # `~name` on the command line leaves it out: the parser says so
    }
    start, head = config["head_start"], config["head"]
    return section | {
        "seeds": tuple(config["seed"] + k for k in range(config["training_seeds"])),
        "head_start": None if start is None else resolve_head(start),
        "head": None if head is None else resolve_head(head),
    }


def common_options(config: Mapping[str, Any]) -> CommonOptions:
    """Parse what the arms share from a command's resolved config."""
    return parse(CommonOptions, common_section(config))


def needs_head(arms: Sequence[ArmOptions], common: CommonOptions) -> bool:
    """Whether a mask head has to be trained that arms share."""
    return common.head is None and any(arm.shares_head for arm in arms)


def needs_frames(arms: Sequence[ArmOptions], common: CommonOptions) -> bool:
    """Whether a mask head or the encoder of a policy learns from mask frames."""
    encoders = any(arm.grounding and arm.grounding.frame_steps for arm in arms)
    return encoders or needs_head(arms, common)


def measures_masks(arms: Sequence[ArmOptions], common: CommonOptions) -> bool:
    """Whether the mask head that arms share is measured, a given one as well as a trained one: the
    evaluation names scenes for it, and only the tabletop can show them.
    """
    return (
        any(arm.shares_head for arm in arms)
        and bool(common.evaluation.mask_scenes)
        and common.task in TABLETOP
    )
