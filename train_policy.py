"""`python train_policy.py env=robosuite`: demonstrations -> mask -> policy -> evaluation -> report.

What is already there is reused, what was cut off goes on: run it again after a kill.
"""

from __future__ import annotations

from omegaconf import DictConfig

from launch.command_line import hydra_command
from launch.comparison import run_comparison


@hydra_command("train_policy")
def main(config: DictConfig) -> None:
    run_comparison(config)


if __name__ == "__main__":
    main()
