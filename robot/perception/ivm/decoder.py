"""Image features + condition token -> heat-map logits at four times the features' resolution: SAM's
decoder, less what it lacks prompts for.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamLayerNorm, SamTwoWayTransformer

from robot.types import InputError


def fourier_positions(
    frequencies: Float[Tensor, "2 c"], height: int, width: int
) -> Float[Tensor, "c2 height width"]:
    """Return sines and cosines of 2 pi (x, y) F over cell centres in [-1, 1] (SAM's
    PositionEmbeddingRandom).
    """
    rows = (torch.arange(height, device=frequencies.device) + 0.5) / height * 2 - 1
    columns = (torch.arange(width, device=frequencies.device) + 0.5) / width * 2 - 1
    places = torch.stack(
        [columns.expand(height, width), rows[:, None].expand(height, width)], dim=-1
    )  # h w 2: x, y
    phases = 2 * math.pi * places.to(frequencies.dtype) @ frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=-1).permute(2, 0, 1)


class HeatmapDecoder(nn.Module):
    """Two-way transformer over [mask tokens, condition token] and the image, two transposed
    convolutions, hypernetworks.

    With dim 256, depth 2, 8 heads, MLP 2048 and one mask token: 3,505,280 parameters.
    """

    frequencies: Tensor

    def __init__(self, *, dim: int, depth: int, heads: int, mlp_dim: int, masks: int) -> None:
        super().__init__()
        if dim % 8 or (dim // 2) % heads or masks < 1:
            raise InputError(
                f"got dim {dim}, heads {heads}, masks {masks}, expected a dim that 8 divides, "
                "heads that divide half of it, "
                "and at least one mask"
            )
        config = SamMaskDecoderConfig(
            hidden_size=dim, mlp_dim=mlp_dim, num_hidden_layers=depth, num_attention_heads=heads
        )
        config._attn_implementation = "sdpa"
        self.register_buffer(
            "frequencies", torch.randn(2, dim // 2)
        )  # part of what was learned against: saved
        self.mask_tokens = nn.Parameter(torch.randn(masks, dim))
        self.transformer = SamTwoWayTransformer(config)
        self.rise = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            SamLayerNorm(dim // 4, data_format="channels_first"),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.hyper = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, dim),
                nn.ReLU(),
                nn.Linear(dim, dim),
                nn.ReLU(),
                nn.Linear(dim, dim // 8),
            )
            for _ in range(masks)
        )

    def forward(
        self, image: Float[Tensor, "b c h w"], condition: Float[Tensor, "b 1 c"]
    ) -> Float[Tensor, "b m h4 w4"]:
        """Return logits (B, masks, 4 h, 4 w)."""
        batch, _, height, width = image.shape
        image = image.to(condition.dtype)
        masks = len(self.mask_tokens)
        tokens = torch.cat(
            [self.mask_tokens.to(condition.dtype).expand(batch, -1, -1), condition], dim=1
        )
        positions = (
            fourier_positions(self.frequencies, height, width)
            .to(condition.dtype)
            .expand(batch, -1, -1, -1)
        )
        read, pixels = self.transformer(
            point_embeddings=tokens[:, None],  # b 1 tokens c: SAM's axis of prompts, here one
            image_embeddings=image,
            image_positional_embeddings=positions,
            attention_similarity=None,
        )
        risen = self.rise(pixels[:, 0].transpose(1, 2).unflatten(2, (height, width)))  # b c/8 4h 4w
        weights = torch.stack(
            [hyper(read[:, 0, k]) for k, hyper in enumerate(self.hyper)], dim=1
        )  # b m c/8
        assert weights.shape[1] == masks
        return (weights @ risen.flatten(2)).unflatten(2, risen.shape[-2:])
