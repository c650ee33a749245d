"""`python launch/train_given.py path=recordings/my_robot`: a policy from given demonstrations.

`torchrun --nproc-per-node=2 --local-ranks-filter 0 launch/train_given.py ...` shares the training
out to two processes.
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


@hydra_command("train_given")
def main(config: DictConfig) -> Work:
    from launch.given_training import given_training  # half a second

    return given_training(config)


if __name__ == "__main__":
    main()
