"""What launch/train_regions.py does: looks -> a region reader."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.envs.gl import require_gl
from robot.experiment.region_looks import LookOptions
from robot.perception.regions.sizes import ReaderSizes
from robot.system.parse import Count, Seed, Share, options, parse
from robot.train.options import Training
from robot.types import InputError


@options
class RegionJob:
    """configs/train_regions.yaml."""

    region_reader: ReaderSizes
    region_looks: LookOptions
    seed: Seed
    workers: Count
    data_root: Path
    batch_size: Count
    hue_share: Share
    crop: bool
    training: Training


def region_training(config: DictConfig) -> Work:
    """Return the training that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    if "llm" in values["region_reader"]:
        raise InputError(
            "got a region_reader with a language model, expected region_reader=tiny or "
            "single_level here: load the large ones with robot.perception.regions.large, weights "
            "and a GPU at hand"
        )
    job = parse(RegionJob, values)
    require_gl()
    from launch.region_learning import train_regions  # torch: seconds

    return partial(train_regions, job, config_yaml=OmegaConf.to_yaml(config, resolve=True))
