"""Demonstrations, mask frames and networks small enough to train in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from robot.data.mask_frames import MaskFrameStore, MaskRecord
from robot.data.mask_shards import shard_numbers
from robot.data.scores import ScoredBy
from robot.data.store import EpisodeStore
from robot.perception.compose.masking import Overlay
from robot.system.parse import Spec, parse
from robot.train.demonstrations import Selection
from robot.train.loop import Training
from robot.train.mask_head import HeadTraining
from robot.train.policy import Augmentation, PolicyTraining
from robot.types import QUALITY, Episode, Goal, Label
from tests.robots import panda

SIDE = 32
SPACES = panda(agentview=(SIDE, SIDE), wrist=(SIDE, SIDE))
GOALS = ("pick up the red cup", "grab the blue ball")
POLICY = {
    "cameras": 2,
    "in_channels": 5,
    "image_size": 16,
    "horizon": 4,
    "width": 8,
    "layers": 2,
    "keypoints": 4,
}
POLICY |= {"dim": 16, "depth": 1, "heads": 2}
DISCRIMINATOR = {"cameras": 2, "horizon": 4, "dim": 16}
TRAINING = {
    "steps": 6,
    "warmup_steps": 1,
    "checkpoint_every": 2,
    "log_every": 1,
    "precision": "fp32",
    "device": "cpu",
}
AUGMENT = {"jitter": {"brightness": 0.3}, "ring": 1.0, "shift": 1, "drop": 0.0, "noise": 0.02}
HEAD = {"cameras": 2, "widths": [8, 16, 16], "blocks": [1, 1, 1], "dim": 16, "heads": 2, "depth": 1}


SCORED_BY = ScoredBy(
    rule="binary",
    eta=0.5,
    calibrated=False,
    folds=2,
    seed=0,
    kind="transformer",
    masks="oracle",
    demonstrations=("trusted", "machine"),
)


def training_of(**change) -> Training:
    return Training(**TRAINING | change)


def augmentation_of(**change) -> Augmentation:
    return parse(Augmentation, AUGMENT | change)


def policy_training(*stores: Path, episodes: int = 3, **change) -> PolicyTraining:
    """Return a training on the first `episodes` demonstrations of each store, by default seen
    through the simulator's masks.
    """
    options = {
        "demonstrations": tuple(Selection(store, episodes) for store in stores),
        "policy": Spec("transformer", POLICY),
        "masks": "oracle",
        "deployment": Overlay(),
        "augmentation": augmentation_of(),
        "weighting": "uniform",
        "scores": None,
        "training": training_of(),
        "batch_size": 4,
        "seed": 0,
    }
    return PolicyTraining(**options | change)


def head_training(**change) -> HeadTraining:
    options = {
        "shards": 4,
        "head": Spec("mask_head", HEAD),
        "training": training_of(),
        "batch_size": 4,
        "seed": 0,
    }
    return HeadTraining(**options | change)


def labels_of(index: int) -> np.ndarray:
    """Return a label map (SIDE, SIDE): a square target, a square destination, a gripper
    at the top.
    """
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[:6] = Label.GRIPPER
    labels[8 + index % 4 : 16 + index % 4, 4:12] = Label.TARGET
    labels[20:28, 18:26] = Label.DESTINATION
    return labels


def episode(index: int, *, steps: int = 6) -> Episode:
    rng = np.random.default_rng(index)
    frames = {
        camera: rng.integers(0, 256, (steps, SIDE, SIDE, 3), dtype=np.uint8)
        for camera in ("agentview", "wrist")
    }
    return Episode(
        task="pick",
        goal=Goal(GOALS[index % 2]),
        images=frames,
        labels={camera: np.stack([labels_of(index)] * steps) for camera in frames},
        proprio=rng.uniform(0, 1, (steps, 10)).astype(np.float32),
        actions=rng.uniform(0.0, 0.04, (steps, 7)).astype(np.float32),
        spaces=SPACES,
        control_dt_s=0.05,
        success=True,
        seed=0,
        index=index,
        scene="clean",
    )


def write_demonstrations(root: Path, *, episodes: int = 3) -> Path:
    store = EpisodeStore(root)
    for index in range(episodes):
        store.append(episode(index))
    return root


def write_tiers(root: Path, *, trusted: int = 2, machine: int = 4) -> list[Path]:
    """Write trusted episodes 0.., and machine episodes 0.. of which every odd one is a stall: no
    motion at all.
    """
    stores = [EpisodeStore(root / "trusted"), EpisodeStore(root / "machine")]
    for index in range(trusted):
        stores[0].append(episode(index))
    for index in range(machine):
        one = replace(episode(100 + index), index=index, tier="machine")
        if index % 2:
            one = replace(one, actions=np.full_like(one.actions, -0.04), extra={QUALITY: "stall"})
        stores[1].append(one)
    return [store.root for store in stores]


def write_mask_frames(root: Path, *, shards: int = 4) -> Path:
    store = MaskFrameStore(root)
    for index in shard_numbers(shards):
        store.append_shard(index, [_record(8 * index + k) for k in range(8)])
    return root


def _record(k: int) -> MaskRecord:
    rng = np.random.default_rng(k)
    shown = k % 4 > 0
    labels = labels_of(k) if shown else np.zeros((SIDE, SIDE), np.uint8)
    return MaskRecord(
        image=rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        label=labels,
        goal=GOALS[k % 2],
        target_visible=shown,
        destination_visible=shown,
        camera=("agentview", "wrist")[k % 2],
        scene="clean",
        seed=0,
    )
