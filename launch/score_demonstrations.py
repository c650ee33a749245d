"""`python launch/score_demonstrations.py task=pick data.quality.corrupted=0.6`: trusted and machine
demonstrations -> a discriminator -> a weight per window.
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


@hydra_command("score_demonstrations")
def main(config: DictConfig) -> Work:
    from launch.scored_data import check_scored_data

    check_scored_data(config)  # before torch is imported: seconds
    from launch.scoring import scoring

    return scoring(config)


if __name__ == "__main__":
    main()
