"""`python launch/calibrate.py pictures=folder mount=eye_to_hand`: how a camera projects and where
it is, from pictures of a ChArUco board.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("calibrate")
def main(config: DictConfig) -> Work:
    from launch.calibrating import calibrating  # takes a second

    return calibrating(config)


if __name__ == "__main__":
    main()
