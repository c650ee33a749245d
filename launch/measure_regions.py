"""`python launch/measure_regions.py`: how well region readers read, beside what costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("measure_regions")
def main(config: DictConfig) -> Work:
    from launch.region_measuring import region_measuring  # takes seconds

    return region_measuring(config)


if __name__ == "__main__":
    main()
