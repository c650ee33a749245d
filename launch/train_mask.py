"""`python launch/train_mask.py`: randomised scenes -> the mask head, calibrated and measured
condition by condition.

`mask_weighting=dwsl` learns from trusted and machine-made labels, weighted by a discriminator that
is trained first; `mask_weighting=uniform` and `mask_weighting=trusted_only` are what it is compared
with. `mask_head=ivm_sam_llava` is the published IVM. `head_start=tabletop mask_training=finetune`
continues from the shipped head.
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


@hydra_command("train_mask")
def main(config: DictConfig) -> Work:
    from launch.mask_training import mask_training  # takes seconds

    return mask_training(config)


if __name__ == "__main__":
    main()
