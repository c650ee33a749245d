"""Composites to features: one small encoder per camera, conditioned on the goal. The CNN
is here.

PixelUnshuffle(4) first, then 3x3 convolutions on a quarter of the resolution (an eighth with stride
2): on a CPU this trains three times faster than strided stems at full resolution, and there is no
normalisation layer to pay for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.policy.attention import KeypointAttention
from robot.policy.config import PATCH, EncoderConfig
from robot.policy.tokens import TokenEncoder, fold_patches
from robot.types import InputError


class SpatialSoftmax(nn.Module):
    """Expected image coordinates in [-1, 1] of K learned keypoints (Finn et al. 2016)."""

    grid: Tensor

    def __init__(self, *, channels: int, keypoints: int, size: int):
        super().__init__()
        self.project = nn.Conv2d(channels, keypoints, 1)
        self.attention = KeypointAttention()
        axis = torch.linspace(-1.0, 1.0, size)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer(
            "grid", torch.stack([x.flatten(), y.flatten()], dim=-1), persistent=False
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k2"]:
        attention = self.attention(self.project(features).flatten(2))  # (b, k, h*w)
        return (attention @ self.grid).flatten(1)


class CameraEncoder(nn.Module):
    """Encode one camera: a composite (b, 6, h, w) in [0, 1] and a goal vector to
    `config.features` features.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        width, folded = config.width, config.in_channels * PATCH**2
        self.in_channels = config.in_channels
        self.stem = nn.Conv2d(folded, width, 3, stride=config.stride, padding=1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(config.layers - 1)
        )
        self.film = nn.Linear(config.dim, 2 * width * (config.layers - 1))
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self.keypoints = SpatialSoftmax(
            channels=width,
            keypoints=config.keypoints,
            size=config.image_size // (PATCH * config.stride),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, image: Float[Tensor, "b 6 h w"], goal: Float[Tensor, "b g"]
    ) -> Float[Tensor, "b f"]:
        x = fold_patches(image[:, : self.in_channels])  # (b, h/4, w/4, 16 c)
        x = x.permute(0, 3, 1, 2)  # (b, 16 c, h/4, w/4), channels_last
        x = self.stem(x).relu()  # (b, width, h/4, w/4), half of that a side with stride 2
        film = self.film(goal)[:, :, None, None].chunk(2 * len(self.convolutions), dim=1)
        for i, convolution in enumerate(self.convolutions):
            scale, shift = film[2 * i], film[2 * i + 1]
            x = x + (convolution(x) * (1 + scale) + shift).relu()
        # avg_pool2d and not mean: its gradient stays channels_last, and with it all the gradients
        # upstream.
        return torch.cat(
            [self.keypoints(x), F.avg_pool2d(x, x.shape[-1]).flatten(1).float()], dim=-1
        )


ENCODERS = {"cnn": CameraEncoder, "tokens": TokenEncoder}


class VisionEncoder(nn.Module):
    """One encoder per camera, their features side by side: "cnn", or "tokens", which computes on
    what the mask keeps only.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.image_size = config.image_size
        self.cameras = nn.ModuleList(ENCODERS[config.vision](config) for _ in range(config.cameras))
        self.out_dim = config.cameras * config.features

    def forward(
        self, images: Float[Tensor, "b n 6 h w"], goal: Float[Tensor, "b g"]
    ) -> Float[Tensor, "b f"]:
        expected = (len(self.cameras), self.image_size, self.image_size)
        if (images.shape[1], *images.shape[3:]) != expected:
            raise InputError(
                f"got images of shape {tuple(images.shape)}, expected (batch, {expected[0]}, 6, "
                f"{expected[1]}, {expected[2]}): "
                "use the cameras and image_size that the policy was built for"
            )
        return torch.cat(
            [camera(images[:, i], goal) for i, camera in enumerate(self.cameras)], dim=-1
        )
