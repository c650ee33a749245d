"""Features under a box or a mask -> a token per region.

    points = roi_align(features, boxes, stride=4, size=7)  # (B, R, C, 7, 7)
    mean = mask_pool(features, masks, stride=4)             # (B, R, C)

Boxes are (x0, y0, x1, y1) in pixels of the frame, the maxima exclusive; masks are coverages in
[0, 1] at the frame's size. Mask pooling weights a feature by how much of its cell the mask covers,
so that a mask of two pixels still has a token at stride 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

BINS = 7  # per side of a box, for its token
SPATIAL = 16  # cells per side that a mask's shape and place are read at
BOX_NUMBERS = 8


def roi_align(
    features: Float[Tensor, "b c h w"],
    boxes: Float[Tensor, "b r 4"],
    *,
    stride: int,
    size: int,
    samples: int = 2,
) -> Float[Tensor, "b r c size size"]:
    """Return the mean of `samples` x `samples` bilinear samples in each of `size` x `size` bins of
    every box (RoIAlign, arXiv 1703.06870, pixel-aligned; beyond the frame its border goes on).
    """
    count, points = boxes.shape[1], size * samples
    steps = (torch.arange(points, device=boxes.device) + 0.5) / points
    height, width = features.shape[-2:]
    x = boxes[..., 0, None] + (boxes[..., 2] - boxes[..., 0])[..., None] * steps  # b r points
    y = boxes[..., 1, None] + (boxes[..., 3] - boxes[..., 1])[..., None] * steps
    grid = torch.stack(
        [
            (2 * x / (stride * width) - 1)[:, :, None, :].expand(-1, -1, points, -1),
            (2 * y / (stride * height) - 1)[:, :, :, None].expand(-1, -1, -1, points),
        ],
        dim=-1,
    ).flatten(1, 2)  # b r*points points 2
    sampled = F.grid_sample(
        features, grid.to(features.dtype), padding_mode="border", align_corners=False
    )
    binned = F.avg_pool2d(sampled, samples) if samples > 1 else sampled  # b c r*size size
    return binned.unflatten(2, (count, size)).transpose(1, 2)


def mask_pool(
    features: Float[Tensor, "b c h w"], masks: Float[Tensor, "b r _ _"], *, stride: int
) -> Float[Tensor, "b r c"]:
    """Return the mean feature under each mask, cells weighted by the area that it covers; zero
    under an empty mask.
    """
    cover = F.avg_pool2d(masks, stride) if stride > 1 else masks
    weights = cover.flatten(2)
    weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=1e-6)
    return weights.to(features.dtype) @ features.flatten(2).transpose(1, 2)


def is_visible(masks: Float[Tensor, "b r h w"]) -> Bool[Tensor, "b r"]:
    """Return which masks show anything at all."""
    return masks.flatten(2).amax(dim=2) > 0


def boxes_of(masks: Float[Tensor, "b r h w"]) -> Float[Tensor, "b r 4"]:
    """Return the smallest box around each mask; the whole frame where a mask is empty."""
    height, width = masks.shape[-2:]
    columns, rows = masks.amax(dim=2) > 0, masks.amax(dim=3) > 0
    ends = [_first(columns), _first(rows), width - _first(columns.flip(-1))]
    ends.append(height - _first(rows.flip(-1)))
    boxes = torch.stack(ends, dim=-1).float()
    whole = torch.tensor([0.0, 0.0, width, height], device=masks.device)
    return torch.where(columns.any(dim=2)[..., None], boxes, whole)


def _first(flags: Bool[Tensor, "b r n"]) -> Tensor:
    return flags.to(torch.uint8).argmax(dim=2)


def box_numbers(boxes: Float[Tensor, "*n 4"], *, height: int, width: int) -> Float[Tensor, "*n 8"]:
    """Return a box's corners, size and the logarithms of its sides, as shares of the frame."""
    scale = torch.tensor([width, height, width, height], device=boxes.device)
    corners = boxes / scale
    sides = (corners[..., 2:] - corners[..., :2]).clamp(min=1e-3)
    return torch.cat([2 * corners - 1, sides, sides.log() / 2], dim=-1)


class BoxToken(nn.Module):
    """RoIAlign on every level, summed; with the box's coordinates, pooled by attention."""

    def __init__(self, *, channels: int, strides: Sequence[int], dim: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.places = nn.Parameter(torch.randn(BINS * BINS, channels) * 0.1)
        self.box = nn.Sequential(nn.Linear(BOX_NUMBERS, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.query = nn.Linear(dim, channels)
        self.out = nn.Linear(2 * channels, dim)

    def forward(
        self,
        levels: Sequence[Float[Tensor, "b c _ _"]],
        boxes: Float[Tensor, "b r 4"],
        *,
        height: int,
        width: int,
    ) -> Float[Tensor, "b r dim"]:
        bins = sum(
            roi_align(level, boxes, stride=stride, size=BINS, samples=1)
            for level, stride in zip(levels, self.strides, strict=True)
        )
        assert isinstance(bins, Tensor)
        points = bins.flatten(3).transpose(2, 3) + self.places.to(bins.dtype)  # b r 49 c
        box = self.box(box_numbers(boxes, height=height, width=width))
        scores = (points @ self.query(box)[..., None]).squeeze(-1) * points.shape[-1] ** -0.5
        attended = (scores.softmax(dim=-1)[..., None] * points).sum(dim=2)
        return self.out(torch.cat([attended, points.mean(dim=2)], dim=-1)) + box


class MaskToken(nn.Module):
    """The mean feature under a mask, one projection per level, summed; and what the mask's shape
    and place say (the spatial token).
    """

    def __init__(self, *, widths: Sequence[int], strides: Sequence[int], dim: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.levels = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.spatial = nn.Sequential(
            nn.Linear(2 * SPATIAL * SPATIAL, dim), nn.ReLU(), nn.Linear(dim, dim)
        )

    def forward(
        self,
        pyramid: Sequence[Float[Tensor, "b _ _ _"]],
        masks: Float[Tensor, "b r h w"],
        boxes: Float[Tensor, "b r 4"],
    ) -> Float[Tensor, "b r dim"]:
        token = self.spatial(_shape_and_place(masks, boxes))
        cover, at = masks, 1
        for project, features, stride in zip(self.levels, pyramid, self.strides, strict=True):
            cover, at = F.avg_pool2d(cover, stride // at), stride  # the mean of means: same areas
            token = token + project(mask_pool(features, cover, stride=1))
        return token


def _shape_and_place(
    masks: Float[Tensor, "b r h w"], boxes: Float[Tensor, "b r 4"]
) -> Float[Tensor, "b r n"]:
    """Return a mask as seen in its box, and in the frame, SPATIAL x SPATIAL cells each."""
    one_each = masks.flatten(0, 1)[:, None]
    inside = roi_align(one_each, boxes.flatten(0, 1)[:, None], stride=1, size=SPATIAL, samples=2)
    place = F.adaptive_avg_pool2d(one_each, SPATIAL)
    both = torch.cat([inside.flatten(1), place.flatten(1)], dim=1)
    return both.unflatten(0, masks.shape[:2])
