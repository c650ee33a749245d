"""`python train_policy.py env=robosuite`: demonstrations -> mask -> policy -> evaluation -> report.

What is already there is reused, what was cut off goes on: run it again after a kill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("train_policy")
def main(config: DictConfig) -> Work:
    from launch.comparison import comparison  # takes seconds

    return comparison(config)


if __name__ == "__main__":
    main()
