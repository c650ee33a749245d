"""What launch/train_mask.py does: randomised scenes -> the mask head, calibrated and measured
condition by condition.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.data.record_frames import check_records
from robot.envs.arm_spaces import CAMERAS
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions
from robot.experiment.collect import Names, check_mask_scenes, check_recorded
from robot.experiment.early import check_head_options, check_label_discriminator, check_once
from robot.experiment.options import Data, Wandb
from robot.perception.names import check_start, resolve_head
from robot.system.device_name import check_device
from robot.system.parse import Count, FlatSpec, Seed, Share, options, parse
from robot.train.label_tiers import MaskWeighting
from robot.train.log import check_mode
from robot.train.options import Training


@options
class Measure:
    """Scenes that the head is measured on: robot.experiment.mask_quality.measure_masks."""

    tasks: Names
    scenes: Names
    scenes_each: Count
    seed: Seed


@options
class MaskJob:
    """configs/train_mask.yaml."""

    env: EnvOptions
    seed: Seed
    workers: Count
    wandb: Wandb
    data: Data
    mask_head: FlatSpec
    mask_training: Training
    mask_batch_size: Count
    mask_hue_share: Share
    mask_weighting: MaskWeighting
    head_start: Path | None
    measure: Measure


def mask_training(config: DictConfig) -> Work:
    """Return the training that a config describes, checked."""
    job = parse_job(OmegaConf.to_container(config, resolve=True))
    from launch.mask_learning import check_networks, train_mask  # torch: seconds

    check_networks(job)
    return partial(train_mask, job, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def parse_job(values: Any) -> MaskJob:
    """Parse the config; raise InputError for what cannot work."""
    start = values["head_start"]
    job = parse(MaskJob, values | {"head_start": None if start is None else resolve_head(start)})
    require_gl()
    check_recorded(job.env)
    check_mode(job.wandb)
    check_records(job.data.records, cameras=list(CAMERAS), size=job.env.image_size)
    check_mask_scenes(job.measure.tasks, job.measure.scenes)  # now, not after the training
    check_once(job.measure.tasks, at="measure.tasks")
    check_once(job.measure.scenes, at="measure.scenes")
    check_head_options(job.mask_head)
    for training in (job.mask_training, job.mask_weighting.training):
        check_device(None if training is None else training.device)
    if job.head_start is not None:
        check_start(job.head_start, job.mask_head)
    if job.mask_weighting.discriminator is not None:
        check_label_discriminator(
            job.mask_weighting.discriminator, at="mask_weighting.discriminator"
        )
    return job
