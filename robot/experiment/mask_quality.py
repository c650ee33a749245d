"""Measure a mask head on scenes that nobody trained on, condition by condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robot.data.mask_frames import MaskFrames
from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.make import DEFAULT_BACKEND, Backend
from robot.experiment.collect import MaskFrameOptions, collect_mask_frames
from robot.language import LanguageEncoder, RawSentences
from robot.perception.head.base import Head
from robot.perception.head.presence import ABSENT_BELOW
from robot.report.html import MaskQuality
from robot.train.mask_head import predict

SNAPSHOTS = 4
SCENES_PER_SHARD = 10


@dataclass(frozen=True)
class Measured:
    """A head in one condition: its quality, and the frames with what the head said, for
    pictures.
    """

    quality: MaskQuality
    frames: MaskFrames
    ious: np.ndarray


def measure_masks(
    head: Head,
    *,
    root: Path,
    tasks: Sequence[str],
    scenes: Sequence[str],
    scenes_each: int,
    seed: int,
    image_size: int,
    workers: int,
    progress: Callable[[int, int], None],
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> list[Measured]:
    """Return the head's quality in every condition over about `scenes_each` scenes with SNAPSHOTS
    looks each.
    """
    shards = range(math.ceil(scenes_each * len(scenes) / SCENES_PER_SHARD))
    shown = MaskFrameOptions(
        tasks=tuple(tasks),
        scenes=dict.fromkeys(scenes, 1.0),
        moments="expert",
        shards=len(shards),
        seed=seed,
        scenes_per_shard=SCENES_PER_SHARD,
        snapshots=SNAPSHOTS,
        goals=1,
        absent_share=0.0,
        hard_share=0.0,
    )
    store = collect_mask_frames(
        shown,
        root=root,
        shards=shards,
        robot=robot,
        backend=backend,
        image_size=image_size,
        workers=workers,
        progress=progress,
    )
    frames, language = store.load(shards=shards), head.word_encoder()
    shown = np.array(frames.scenes)
    parts = {scene: frames.select(np.flatnonzero(shown == scene)) for scene in scenes}
    return [_measure(head, part, scene=scene, language=language) for scene, part in parts.items()]


@torch.inference_mode()
def _measure(
    head: Head, frames: MaskFrames, *, scene: str, language: LanguageEncoder | RawSentences
) -> Measured:
    logits, ious = predict(head, frames, tokens=language.encode(list(frames.goals)))
    cameras = frames.cameras_per_look
    presence = head.presence_probability(logits)[:, 0].view(-1, cameras).amax(dim=1)
    visible = torch.from_numpy(frames.presence[:, 0])
    anywhere = visible.view(-1, cameras).any(dim=1)
    says_absent = presence <= ABSENT_BELOW

    def share(among):
        return says_absent[among].float().mean().item() if bool(among.any()) else None

    quality = MaskQuality(
        scene=scene,
        frames=len(frames),
        mean_iou=ious[visible].nanmean().item() if bool(visible.any()) else None,
        absent_recognised=share(~anywhere) if scene == "absent" else None,
        false_alarms=share(anywhere),
    )
    return Measured(quality=quality, frames=frames, ious=ious.numpy())
