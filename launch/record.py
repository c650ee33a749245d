"""`python launch/record.py robot=simulated teleop=keyboard`: a person demonstrates."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# as in launch/deploy.py: before numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("record")
def main(config: DictConfig) -> Work:
    from launch.demonstrating import demonstrating  # takes seconds

    return demonstrating(config)


if __name__ == "__main__":
    main()
