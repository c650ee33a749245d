"""uint8 frames -> what a vision tower was trained on: its size, its statistics. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from robot.types import InputError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of RGB in [0, 1]."""

    mean: Triple
    std: Triple


IMAGENET = Statistics(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # SAM
CLIP = Statistics(
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)  # LLaVA's vision tower


def prepare(
    frames: Shaped[Tensor, "b _ _ _"], *, side: int, statistics: Statistics
) -> Float[Tensor, "b 3 side side"]:
    """Resize uint8 frames (B, 3, H, W) to side x side, whatever their shape, and normalise.
    InputError on other frames.
    """
    if frames.dtype != torch.uint8 or frames.shape[1] != 3:
        raise InputError(
            f"got frames {tuple(frames.shape)} {frames.dtype}, expected uint8 (B, 3, H, W), stack "
            "RGB as uint8"
        )
    pixels = frames.float() / 255
    if pixels.shape[-2:] != (side, side):
        pixels = F.interpolate(
            pixels, (side, side), mode="bilinear", antialias=True, align_corners=False
        )
    mean, std = (
        pixels.new_tensor(values)[:, None, None] for values in (statistics.mean, statistics.std)
    )
    return (pixels - mean) / std
