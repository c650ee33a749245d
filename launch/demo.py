"""`python launch/demo.py`: a page to draw on, type into, and watch the robot."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before numpy is imported: as in launch/deploy.py, whose loop robot= runs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("demo")
def main(config: DictConfig) -> Work:
    from launch.showing import showing  # takes seconds

    return showing(config)


if __name__ == "__main__":
    main()
