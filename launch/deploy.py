"""`python launch/deploy.py robot=simulated checkpoint=tabletop`: an agent on an arm."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Before numpy is imported: on a busy computer a second thread of a 6 x 6 solve is waited for, up to
# 200 ms, in the middle of the safety layer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("deploy")
def main(config: DictConfig) -> Work:
    from launch.running import running

    return running(config)


if __name__ == "__main__":
    main()
