"""`python launch/generate.py root=data/instruct/first`: questions, answers, masks by program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("generate")
def main(config: DictConfig) -> Work:
    from launch.generating import generating  # takes seconds

    return generating(config)


if __name__ == "__main__":
    main()
