"""What launch/measure_regions.py does: readers -> the figures of docs/regions.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import resolve_checkpoint
from robot.envs.gl import require_gl
from robot.experiment.region_looks import LookOptions
from robot.system.parse import Count, Seed, options, parse
from robot.types import InputError


@options
class Measuring:
    """configs/measure_regions.yaml."""

    region_looks: LookOptions
    readers: tuple[str, ...]
    single_level: tuple[str, ...] | None
    crop: tuple[str, ...] | None
    looks: Count | None
    seed: Seed
    workers: Count
    data_root: Path


def region_measuring(config: DictConfig) -> Work:
    """Return the measurement that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Measuring, values)
    if not asked.readers:
        raise InputError("got readers=[], expected at least one; pass readers=[tabletop]")
    for name in (*asked.readers, *(asked.single_level or ()), *(asked.crop or ())):
        resolve_checkpoint(name)
    require_gl()
    from launch.region_figures import measure_regions  # torch: seconds

    return partial(measure_regions, asked, config_yaml=OmegaConf.to_yaml(config, resolve=True))
