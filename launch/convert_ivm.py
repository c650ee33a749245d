"""`python launch/convert_ivm.py published=IVM.bin`: the authors' IVM -> a mask head of ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launch.command_line import Work, hydra_command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra_command("convert_ivm")
def main(config: DictConfig) -> Work:
    from launch.conversion import conversion

    return conversion(config)


if __name__ == "__main__":
    main()
