"""Pyramid + words -> per-pixel mask logits: the two-way transformer of SAM / IVM at 1/8 scale, then
back to every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.head.encoders import CELL


@lru_cache(maxsize=16)
def position_encoding(
    height: int, width: int, dim: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "hw dim"]:
    """Sines and cosines of the row (first half of the channels) and of the column; wavelengths 2 ..
    2 * max(h, w) cells.
    """
    with torch.inference_mode(False):  # training takes it from the cache, too
        octaves = torch.linspace(0, math.log2(max(height, width)), dim // 4)
        rows = torch.arange(height)[:, None] * math.pi / 2**octaves
        columns = torch.arange(width)[:, None] * math.pi / 2**octaves
        row_code = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(height, width, -1)
        column_code = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(
            height, width, -1
        )
        return torch.cat([row_code, column_code], dim=2).flatten(0, 1).to(device, dtype)


def pointwise(convolution: nn.Conv2d, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b d"]:
    """Apply a 1x1 convolution to features that lie channels-last: one matrix product."""
    return F.linear(x, convolution.weight.flatten(1), convolution.bias)


def to_tokens(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw c"]:
    """Line up the cells of a feature map: a view where it lies channels-last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


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
        if not torch.is_grad_enabled():
            mask = None if valid is None else valid[:, None, None]
            mixed = F.scaled_dot_product_attention(query, key, value.to(query.dtype), mask)
            return self.out(mixed.transpose(1, 2).flatten(2))
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

    def read(self, tokens: Tensor, valid: Tensor | None) -> Tensor:
        """Let the tokens read each other."""
        normed = self.norms[0](tokens)
        return tokens + self.among_tokens(normed, normed, normed, valid)

    def forward(
        self, tokens: Tensor, valid: Tensor | None, image: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Let tokens that have read each other, and the image, read one another."""
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

    def read(
        self, words: Float[Tensor, "b l dim"], valid: Bool[Tensor, "b l"]
    ) -> tuple[Float[Tensor, "looks t dim"], Bool[Tensor, "looks t"] | None]:
        """Return the tokens of every look, cameras * (masks + l) of them, that have read each other
        but no image; and which are valid, None where all are.
        """
        masks = self.mask_tokens.to(words.dtype).expand(len(words), -1, -1)
        tokens = torch.cat([masks, words], dim=1).unflatten(0, (-1, self.cameras))
        tokens = (tokens + self.camera_code.to(words.dtype)).flatten(1, 2)
        padded = F.pad(valid, (self.masks, 0), value=True)
        every = padded.unflatten(0, (-1, self.cameras)).flatten(1, 2)
        known = None if bool(every.all()) else every
        return self.blocks[0].read(tokens, known), known  # type: ignore[operator]

    def forward(
        self,
        pyramid: list[Tensor],
        tokens: Float[Tensor, "looks t dim"],
        valid: Bool[Tensor, "looks t"] | None,
    ) -> tuple[Float[Tensor, "b m h w"], Float[Tensor, "b m h8 w8"], Float[Tensor, "b m dim"]]:
        """Return mask logits at the frame's resolution and at 1/8 of it, and the mask tokens, which
        know what they found.

        The `cameras` frames of a look lie side by side in the batch.
        """
        fine, middle, coarse = pyramid
        height, width = middle.shape[-2:]
        pixels = _spread(
            pointwise(self.from_middle, to_tokens(middle)),
            pointwise(self.from_coarse, to_tokens(coarse)),
            rows=height,
        )
        tokens, pixels = self._bind(tokens, valid, pixels, rows=height)
        similarity = self.template(tokens) @ pixels.transpose(1, 2) * pixels.shape[2] ** -0.5
        logits = self._draw(fine, pixels, similarity, tokens)
        return logits, similarity.unflatten(2, (height, width)), tokens

    def _bind(
        self, tokens: Tensor, valid: Tensor | None, pixels: Tensor, *, rows: int
    ) -> tuple[Tensor, Tensor]:
        count, dim = pixels.shape[1:]
        places = position_encoding(rows, count // rows, dim, pixels.dtype, pixels.device)
        positions = (places + self.camera_code.to(pixels.dtype)).flatten(0, 1)  # cameras*hw dim
        pixels = pixels.unflatten(0, (-1, self.cameras)).flatten(1, 2)  # looks cameras*hw dim
        for number, block in enumerate(self.blocks):
            tokens = block.read(tokens, valid) if number else tokens  # type: ignore[operator]
            tokens, pixels = block(tokens, valid, pixels, positions)
        tokens = tokens.unflatten(1, (self.cameras, -1)).flatten(0, 1)[:, : self.masks]
        return self.norm(tokens), pixels.unflatten(1, (self.cameras, -1)).flatten(0, 1)

    def _draw(self, fine: Tensor, pixels: Tensor, similarity: Tensor, tokens: Tensor) -> Tensor:
        batch, _, rows, columns = fine.shape
        risen = pointwise(self.rise, pixels) + pointwise(self.place, similarity.transpose(1, 2))
        x = _spread(to_tokens(fine), risen, rows=rows)
        x = x.unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
        x = F.relu(self.refine(F.relu(x)))
        features = F.relu(pointwise(self.draw, to_tokens(x)))  # b h/4*w/4 16*pixel
        weights = self.hyper(tokens).transpose(1, 2)  # b pixel+1 masks
        # all 16 pixels of a cell by one matrix: b 16*pixel masks*16
        each = torch.eye(CELL * CELL, dtype=weights.dtype, device=weights.device)
        matrix = torch.einsum("pq,bkm->bpkmq", each, weights[:, :-1]).flatten(3).flatten(1, 2)
        bias = weights[:, -1:].repeat_interleave(CELL * CELL, dim=2)
        logits = torch.baddbmm(bias, features, matrix)
        grid = logits.view(batch, rows, columns, self.masks, CELL, CELL).permute(0, 3, 1, 4, 2, 5)
        return grid.reshape(batch, self.masks, rows * CELL, columns * CELL)


def _spread(
    fine: Float[Tensor, "b n c"], coarse: Float[Tensor, "b m c"], *, rows: int
) -> Float[Tensor, "b n c"]:
    """Add to each cell of `fine`, `rows` rows of them, the cell of half the resolution that covers
    it.
    """
    batch, count, channels = fine.shape
    columns = count // rows
    blocks = fine.view(batch, rows // 2, 2, columns // 2, 2, channels)
    cover = coarse.view(batch, rows // 2, 1, columns // 2, 1, channels)
    return (blocks + cover).view(batch, count, channels)
