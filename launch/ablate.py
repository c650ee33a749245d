"""`python launch/ablate.py preset=paper`: masked against unmasked, arm by arm, scene by scene.

What is trained already is reused (that of train_policy.py too), and every finished cell is kept:
run it again after a kill.
"""

from __future__ import annotations

from omegaconf import DictConfig

from launch.command_line import hydra_command
from launch.comparison import run_comparison


@hydra_command("ablate")
def main(config: DictConfig) -> None:
    run_comparison(config)


if __name__ == "__main__":
    main()
