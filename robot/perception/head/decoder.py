"""Pyramid + words -> per-pixel mask logits: the two-way transformer of SAM / IVM at 1/8 scale, then
back to every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.head.encoders import CELL


def position_encoding(height: int, width: int, dim: int) -> Float[Tensor, "hw dim"]:
    """Sines and cosines of the row (first half of the channels) and of the column; wavelengths 2 ..
    2 * max(h, w) cells.
    """
    octaves = torch.linspace(0, math.log2(max(height, width)), dim // 4)
    rows = torch.arange(height)[:, None] * math.pi / 2**octaves
    columns = torch.arange(width)[:, None] * math.pi / 2**octaves
    row_code = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(height, width, -1)
    column_code = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(height, width, -1)
    return torch.cat([row_code, column_code], dim=2).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention from `queries` to `keys`; positions are added by the caller.

    Written out: on a CPU the fused kernel's backward pass takes as long as all convolutions of the
    head together.
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(
        self,
        queries: Float[Tensor, "b q dim"],
        keys: Float[Tensor, "b k dim"],
        values: Float[Tensor, "b k dim"],
        valid: Bool[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, "b q dim"]:
        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # b heads tokens dim/heads

        query, key, value = (
            split(self.query(queries)),
            split(self.key(keys)),
            split(self.value(values)),
        )
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None], -torch.inf)
        mixed = scores.softmax(dim=-1).to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """Tokens read each other, then the image; then the image reads the tokens (SAM's
    TwoWayAttentionBlock, pre-norm).
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(4))
        self.image_norm = nn.LayerNorm(dim)
        self.among_tokens = Attention(dim=dim, heads=heads)
        self.tokens_to_image = Attention(dim=dim, heads=heads)
        self.image_to_tokens = Attention(dim=dim, heads=heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(
        self, tokens: Tensor, valid: Tensor, image: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        normed = self.norms[0](tokens)
        tokens = tokens + self.among_tokens(normed, normed, normed, valid)
        pixels = self.image_norm(image)
        placed = pixels + positions
        tokens = tokens + self.tokens_to_image(self.norms[1](tokens), placed, pixels)
        tokens = tokens + self.mlp(self.norms[2](tokens))
        normed = self.norms[3](tokens)
        image = image + self.image_to_tokens(placed, normed, normed, valid)
        return tokens, image


class MaskDecoder(nn.Module):
    """Bind words to places at 1/8 scale, then draw every mask at full resolution.

    Cameras of one look are bound together: what one of them shows clearly says which of two alike
    things the other one sees. A cell of 4x4 pixels emits `pixel_dim` features for each of its 16
    pixels; a mask's logit is their dot product with a vector that the mask's own token emits (a
    hypernetwork, as in SAM). Boundaries are therefore as sharp as the frame.
    """

    def __init__(
        self,
        *,
        cameras: int,
        widths: Sequence[int],
        dim: int,
        heads: int,
        depth: int,
        masks: int,
        pixel_dim: int,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.cameras, self.masks, self.pixel_dim = cameras, masks, pixel_dim
        self.camera_code = nn.Parameter(torch.randn(cameras, 1, dim) * 0.5)
        self.from_middle = nn.Conv2d(middle, dim, 1)
        self.from_coarse = nn.Conv2d(coarse, dim, 1)
        self.mask_tokens = nn.Parameter(torch.randn(masks, dim) * 0.5)
        self.blocks = nn.ModuleList(TwoWayBlock(dim=dim, heads=heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.template = nn.Linear(dim, dim)
        self.rise = nn.Conv2d(dim, fine, 1)
        self.place = nn.Conv2d(masks, fine, 1)
        self.refine = nn.Conv2d(fine, fine, 3, padding=1)
        self.draw = nn.Conv2d(fine, pixel_dim * CELL * CELL, 1)
        self.hyper = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, pixel_dim + 1))

    def forward(
        self, pyramid: list[Tensor], words: Float[Tensor, "b l dim"], valid: Bool[Tensor, "b l"]
    ) -> tuple[Float[Tensor, "b m h w"], Float[Tensor, "b m h8 w8"], Float[Tensor, "b m dim"]]:
        """Return mask logits at the frame's resolution and at 1/8 of it, and the mask tokens, which
        know what they found.

        The `cameras` frames of a look lie side by side in the batch.
        """
        fine, middle, coarse = pyramid
        image = self.from_middle(middle) + F.interpolate(
            self.from_coarse(coarse), scale_factor=2, mode="nearest"
        )
        tokens, image = self._bind(image, words, valid)
        coarse_logits = self._match(tokens, image)
        return self._draw(fine, image, coarse_logits, tokens), coarse_logits, tokens

    def _match(self, tokens: Tensor, image: Tensor) -> Tensor:
        """Compare what each mask looks for with what each 8x8 px patch shows, in all `dim`
        features.
        """
        similarity = self.template(tokens) @ image.flatten(2) * image.shape[1] ** -0.5  # b masks hw
        return similarity.unflatten(2, image.shape[-2:])

    def _bind(self, image: Tensor, words: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        height, width = image.shape[-2:]
        tokens = torch.cat(
            [self.mask_tokens.to(words.dtype).expand(len(words), -1, -1), words], dim=1
        )
        code = self.camera_code.to(words.dtype)
        positions = (
            position_encoding(height, width, image.shape[1]).to(image) + code
        )  # cameras hw dim
        tokens = (tokens.unflatten(0, (-1, self.cameras)) + code).flatten(
            1, 2
        )  # looks cameras*(masks+l) dim
        pixels = (
            image.flatten(2).transpose(1, 2).unflatten(0, (-1, self.cameras)).flatten(1, 2)
        )  # looks cameras*hw dim
        valid = (
            F.pad(valid, (self.masks, 0), value=True).unflatten(0, (-1, self.cameras)).flatten(1, 2)
        )
        for block in self.blocks:
            tokens, pixels = block(tokens, valid, pixels, positions.flatten(0, 1))
        tokens = tokens.unflatten(1, (self.cameras, -1)).flatten(0, 1)[:, : self.masks]
        pixels = pixels.unflatten(1, (self.cameras, -1)).flatten(0, 1)  # b hw dim
        return self.norm(tokens), pixels.transpose(1, 2).unflatten(2, (height, width))

    def _draw(self, fine: Tensor, image: Tensor, coarse_logits: Tensor, tokens: Tensor) -> Tensor:
        x = fine + F.interpolate(
            self.rise(image) + self.place(coarse_logits), scale_factor=2, mode="nearest"
        )
        x = F.relu(self.refine(F.relu(x)))
        features = F.relu(self.draw(x)).permute(0, 2, 3, 1)  # b h/4 w/4 16*pixel
        batch, rows, columns, _ = features.shape
        weights = self.hyper(tokens).transpose(1, 2)  # b pixel+1 masks
        logits = features.reshape(batch, -1, self.pixel_dim) @ weights[:, :-1] + weights[:, -1:]
        grid = logits.view(batch, rows, columns, CELL, CELL, self.masks).permute(0, 5, 1, 3, 2, 4)
        return grid.reshape(batch, self.masks, rows * CELL, columns * CELL)
