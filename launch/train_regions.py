"""`python launch/train_regions.py`: looks whose every object is known -> a region reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("train_regions")
def main(config: DictConfig) -> Work:
    from launch.region_training import region_training  # takes seconds

    return region_training(config)


if __name__ == "__main__":
    main()
