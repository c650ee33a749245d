"""Frame -> image features: SAM's image encoder, frozen."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from transformers import SamVisionModel

from robot.perception.ivm.pixels import IMAGENET, prepare


class SamImageEncoder(nn.Module):
    """SAM ViT-H at 1024 px gives features (B, 256, 64, 64). Its own side and width come with its weights."""

    def __init__(self, *, vision: SamVisionModel) -> None:
        super().__init__()
        self.vision = vision.requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Shaped[Tensor, "b _ _ _"]) -> Float[Tensor, "b c h w"]:
        """Encode uint8 frames (B, 3, H, W), resized to the encoder's side; no gradient passes."""
        config = self.vision.config
        pixels = prepare(frames, side=config.image_size, statistics=IMAGENET)
        return self.vision(pixels.to(self.vision.dtype)).last_hidden_state
