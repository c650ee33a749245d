"""Frame -> features at strides 2, 4, 8 and 16, and the same fused from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.regions.sizes import STRIDES
from robot.types import InputError

Steer = Callable[[int, Tensor], Tensor]  # (level, features) -> features


class Block(nn.Module):
    """x + conv(relu(conv(relu(x)))), zero at first (Fixup, arXiv 1901.09321)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.second(F.relu(self.first(F.relu(x))))


class Pyramid(nn.Module):
    """A CNN of four levels, `blocks` are those of all but the finest. Frames are uint8 RGB, sides
    multiples of 16.
    """

    def __init__(self, *, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        inputs = (3 * STRIDES[0] ** 2, *widths[:-1])
        self.enter = nn.ModuleList(
            nn.Conv2d(before, width, 3, stride=1 if level == 0 else 2, padding=1)
            for level, (before, width) in enumerate(zip(inputs, widths, strict=True))
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(widths, (0, *blocks), strict=True)
        )

    def forward(self, frames: Shaped[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return features (B, widths[i], H / STRIDES[i], W / STRIDES[i])."""
        return self.go_on(self.begin(frames, levels=1))

    def begin(self, frames: Shaped[Tensor, "b 3 h w"], *, levels: int) -> list[Tensor]:
        """Return the features of the finest levels alone."""
        height, width = frames.shape[-2:]
        if frames.dtype != torch.uint8 or height % STRIDES[-1] or width % STRIDES[-1]:
            raise InputError(
                f"got frames {tuple(frames.shape)} {frames.dtype}, expected uint8 (B, 3, H, W) "
                f"with sides that are multiples of {STRIDES[-1]}; resize the frames first"
            )
        x = F.pixel_unshuffle(frames.float().div(64).sub(2), STRIDES[0])
        pyramid = [self.levels[0](self.enter[0](x))]
        return self._up_to(pyramid, levels, steer=None)

    def go_on(self, pyramid: list[Tensor], steer: Steer | None = None) -> list[Tensor]:
        """Return all levels, the finest being given; `steer` changes what enters the others."""
        return self._up_to(pyramid, len(self.levels), steer=steer)

    def _up_to(self, pyramid: list[Tensor], count: int, *, steer: Steer | None) -> list[Tensor]:
        pyramid = list(pyramid)
        for k in range(len(pyramid), count):
            x = self.enter[k](F.relu(pyramid[-1]))
            pyramid.append(self.levels[k](x if steer is None else steer(k, x)))
        return pyramid


class Fusion(nn.Module):
    """Add to each level what the coarser ones know (a feature pyramid, arXiv 1612.03144), with the
    coordinates of every cell. The finest levels may be left out.
    """

    def __init__(self, *, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width + 2, channels, 1) for width in widths)

    def forward(self, pyramid: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Tensor]:
        fused: list[Tensor] = []
        for lateral, features in zip(self.lateral[::-1], pyramid[::-1], strict=False):
            x = lateral(torch.cat([features, _coordinates(features)], dim=1))
            if fused:
                x = x + F.interpolate(fused[0], size=x.shape[-2:], mode="nearest")
            fused.insert(0, x)
        return fused


def _coordinates(features: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b 2 h w"]:
    batch, _, height, width = features.shape
    rows = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype)
    columns = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype)
    grid = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])
    return grid.expand(batch, -1, -1, -1)
