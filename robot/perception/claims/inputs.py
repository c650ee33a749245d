"""Masks and pictures -> what the claim network takes in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from robot.perception.claims.network import CUT, LONGEST
from robot.perception.regions.network import Regions
from robot.perception.regions.pool import boxes_of, roi_align

MARGIN = 1.6  # of a cut-out's side, over the longer side of the region's box
SMALLEST = 16  # pixels of the coarse frame that a cut-out's side has at least


def regions_of(
    masks: Bool[np.ndarray, "b r h w"], valid: Bool[np.ndarray, "b r"] | None = None
) -> Regions:
    """Return masks as regions; an empty one is a box around the whole frame."""
    planes = torch.from_numpy(masks.astype(np.float32))
    shown = planes.flatten(2).amax(dim=2) > 0
    given = torch.ones_like(shown) if valid is None else torch.from_numpy(valid)
    return Regions(boxes=boxes_of(planes), masks=planes, has_mask=shown, valid=given)


def cut_out(
    images: Shaped[Tensor, "n 3 h w"], regions: Regions
) -> tuple[Shaped[Tensor, "n 3 c c"], Float[Tensor, "n c c"]]:
    """Return each claim's region cut out of the picture, and its mask there; a square around it."""
    height, width = regions.masks.shape[-2:]
    boxes = regions.boxes[:, 0]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) * MARGIN
    half = side.clamp(min=SMALLEST, max=max(height, width))[:, None] / 2
    square = torch.cat([centre - half, centre + half], dim=1)[:, None]
    scale = torch.tensor([images.shape[3] / width, images.shape[2] / height] * 2)
    cuts = roi_align(images.float(), square * scale, stride=1, size=CUT, samples=1)
    masks = roi_align(regions.masks[:, :1], square, stride=1, size=CUT, samples=1)
    return cuts[:, 0].round().to(torch.uint8), masks[:, 0, 0]


def padded(texts: Sequence[Sequence[int]]) -> Int[Tensor, "n l"]:
    """Return token lists as rows, 0 behind each; what is longer than LONGEST is cut off."""
    rows = [torch.tensor(list(text[:LONGEST])) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def half_size(images: Shaped[Tensor, "n 3 h w"]) -> Shaped[Tensor, "n 3 h2 w2"]:
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)
