"""`python launch/ablate.py preset=paper`: masked against unmasked, arm by arm, scene by scene.

What is trained already is reused (that of train_policy.py too), and every finished cell is kept:
run it again after a kill.
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


@hydra_command("ablate")
def main(config: DictConfig) -> Work:
    from launch.comparison import comparison  # takes seconds

    return comparison(config)


if __name__ == "__main__":
    main()
