"""The baseline without a frame: a reader that sees each region's box alone."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from robot.perception.regions.losses import DenseTargets, RegionBatch
from robot.perception.regions.network import Regions
from robot.perception.regions.pool import roi_align

SIDE = 64  # pixels of a crop


def crops_of(
    frames: Shaped[Tensor, "b 3 h w"], boxes: Float[Tensor, "b r 4"]
) -> Shaped[Tensor, "n 3 side side"]:
    """Return what is in every box as a frame of its own, uint8."""
    crops = roi_align(frames.float(), boxes, stride=1, size=SIDE, samples=2)
    return crops.flatten(0, 1).round().to(torch.uint8)


def whole(count: int) -> Regions:
    """Return one region per crop: all of it, as a box."""
    box = torch.tensor([0.0, 0.0, SIDE, SIDE]).expand(count, 1, 4)
    flags = torch.ones(count, 1, dtype=torch.bool)
    return Regions(box, torch.zeros(count, 1, SIDE, SIDE), ~flags, flags)


def cropped(batch: RegionBatch) -> RegionBatch:
    """Return a batch with each valid region as a frame; nothing of pairs or places is known."""
    valid = batch.regions.valid.flatten()
    crops = crops_of(batch.frames, batch.regions.boxes)[valid]
    count = len(crops)

    def rows(values: Tensor) -> Tensor:
        return values.flatten(0, 1)[valid][:, None]

    def unknown(like: Tensor) -> Tensor:
        return torch.full((count, 1, 1, like.shape[-1]), torch.nan)

    cells = SIDE // 4
    nothing = DenseTargets(
        heat=torch.zeros(count, 2, cells, cells),
        sides=torch.zeros(count, 8, cells, cells),
        counts=torch.zeros(count, 2, cells, cells),
        surfaces=torch.zeros(count, cells, cells, dtype=torch.long),
    )
    return replace(
        batch,
        frames=crops,
        regions=whole(count),
        true_masks=torch.zeros(count, 1, SIDE, SIDE),
        attributes={kind: rows(values) for kind, values in batch.attributes.items()},
        relations=unknown(batch.relations),
        offsets=unknown(batch.offsets),
        asked=rows(batch.asked),
        answers=rows(batch.answers),
        dense=nothing,
    )
