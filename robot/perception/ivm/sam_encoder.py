"""Frame -> image features: SAM's image encoder, frozen."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from transformers import SamVisionModel

from robot.perception.ivm.pixels import IMAGENET, prepare


class SamImageEncoder(nn.Module):
    """SAM ViT-H at 1024 px gives features (B, 256, 64, 64). Its own side and width come with its
    weights.
    """

    def __init__(self, *, vision: SamVisionModel) -> None:
        super().__init__()
        config: Any = vision.config  # declares its side as a pair as well
        self.side: int = config.image_size
        self.vision = vision.requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Shaped[Tensor, "b _ _ _"]) -> Float[Tensor, "b c h w"]:
        """Encode uint8 frames (B, 3, H, W), resized to the encoder's side; no gradient passes."""
        pixels = prepare(frames, side=self.side, statistics=IMAGENET)
        return self.vision(pixels.to(self.vision.dtype)).last_hidden_state
