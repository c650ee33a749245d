"""A small comparison as typed options: its arms, and what they share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robot.envs.make import EnvOptions
from robot.experiment.arms import Arm
from robot.experiment.collect import MaskFrameOptions
from robot.experiment.config import Common, Data, Evaluation, Quality
from robot.experiment.datasets import Datasets
from robot.perception.compose.masking import Channel, Overlay, Unmasked
from robot.system.parse import Spec
from robot.train.demonstration_discriminator import DiscriminatorOptions, Scoring
from tests.experiment.toy import HEAD, POLICY, augmentation_of, training_of

SCENES = ("clean", "randomised")
FRAMES = MaskFrameOptions(
    tasks=("pick",),
    scenes={"clean": 1.0},
    moments="expert",
    shards=4,
    seed=0,
    scenes_per_shard=1,
    snapshots=1,
    goals=1,
    absent_share=0.0,
    hard_share=0.0,
)
MIXED = Quality(episodes=8, seed=1, corrupted=0.5, kinds={"stall": 1.0})


def arm(name: str, perception: str = "none", **change) -> Arm:
    options = {
        "deployment": Unmasked() if perception == "none" else Overlay(),
        "scenes": ("clean",),
        "steps": 1.0,
        "augment": augmentation_of(),
        "weighting": "uniform",
        "policy": Spec("transformer", POLICY),
        "policy_of": name,
    }
    return Arm(name=name, perception=perception, **options | change)


def data_of(root: Path = Path("data"), **change) -> Data:
    options = {"episodes": 4, "seed": 0, "quality": None, "mask_frames": FRAMES}
    return Data(root=root, **options | change)


def scoring_of(**change) -> Scoring:
    discriminator = {"cameras": 2, "horizon": 4, "dim": 16, "dropout": 0.0, "noise": 0.0}
    rule = {"rule": "binary", "eta": 0.5, "trusted_weight": 1.0, "machine_weight": 1.0}
    options = {
        "policy": Spec("transformer", POLICY),
        "discriminator": DiscriminatorOptions(**discriminator, **rule),
        "masks": "oracle",
        "head": None,
        "deployment": Channel(),
        "augment": augmentation_of(),
        "training": training_of(),
        "batch_size": 4,
        "folds": 2,
        "calibrate": True,
    }
    return Scoring(**options | change)


def evaluation_of(**change) -> Evaluation:
    options = {
        "tasks": ("pick",),
        "scenes": ("clean", "distract"),
        "episodes": 3,
        "seed": 1000,
        "execute": 2,
        "ensemble_decay": None,
        "keep": 0,
    }
    return Evaluation(**options | change)


def common_of(**change) -> Common:
    options = {
        "name": "toy",
        "task": "pick",
        "seeds": (0,),
        "data": data_of(),
        "scoring": scoring_of(),
        "train": training_of(steps=10),
        "batch_size": 4,
        "look_every": 1,
        "mask_head": Spec("mask_head", HEAD),
        "mask_training": training_of(steps=6),
        "mask_batch_size": 4,
        "mask_hue_share": 0.0,
        "head_start": None,
        "head": None,
        "env": EnvOptions(image_size=32),
        "evaluation": evaluation_of(),
        "workers": 1,
        "wandb": "disabled",
    }
    return Common(**options | change)


def mixed_of(**change) -> Common:
    """Return what arms share that learn from trusted and machine demonstrations."""
    return common_of(data=data_of(quality=replace(MIXED, **change)))


def datasets_of(root: Path = Path("data"), *, tiers: int = 1) -> Datasets:
    """Return stores of every scene and tier, and mask frames, all under `root`."""
    names = ("trusted", "machine")[:tiers]
    stores = {scene: [root / f"{scene}-{name}" for name in names] for scene in SCENES}
    return Datasets(stores, frames=root / "frames")
