"""Boxes -> masks, and frames -> boxes: the promptable part, in front of any words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.regions.pool import roi_align
from robot.perception.regions.sizes import STRIDES

CELLS = 14  # per side of a box that a mask is drawn in; twice as many in the mask
DRAWN = 2 * CELLS
FINE, DENSE = 0, 1  # levels that masks are drawn from, and that boxes are proposed on
PROPOSED = ("part", "object")  # granularities with boxes of their own


class BoxMask(nn.Module):
    """Draw the mask of what a box is around, in the box (Mask R-CNN, arXiv 1703.06870)."""

    def __init__(self, *, channels: int, width: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.third = nn.Conv2d(width, width, 3, padding=1)
        self.draw = nn.Conv2d(width, 4, 1)  # the four quarters of each cell

    def forward(
        self, fine: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b r 4"]
    ) -> Float[Tensor, "b r 28 28"]:
        """Return mask logits in every box."""
        cells = roi_align(fine, boxes, stride=STRIDES[FINE], size=CELLS, samples=1)
        x = F.relu(self.first(cells.flatten(0, 1)))
        x = F.relu(self.second(x)) + x
        x = F.relu(self.third(x)) + x
        drawn = F.pixel_shuffle(self.draw(x), 2)
        return drawn.squeeze(1).unflatten(0, boxes.shape[:2])


def paste(
    logits: Float[Tensor, "r n n"], boxes: Float[Tensor, "r 4"], *, height: int, width: int
) -> Float[Tensor, "r h w"]:
    """Return probabilities at the frame's size, zero outside of the boxes."""
    x = (torch.arange(width, device=boxes.device) + 0.5 - boxes[:, :1]) / (
        boxes[:, 2:3] - boxes[:, :1]
    ).clamp(min=1e-3)
    y = (torch.arange(height, device=boxes.device) + 0.5 - boxes[:, 1:2]) / (
        boxes[:, 3:4] - boxes[:, 1:2]
    ).clamp(min=1e-3)
    grid = torch.stack(
        [
            (2 * x - 1)[:, None].expand(-1, height, -1),
            (2 * y - 1)[:, :, None].expand(-1, -1, width),
        ],
        dim=-1,
    )
    drawn = F.grid_sample(logits[:, None], grid, padding_mode="border", align_corners=False)
    inside = ((x >= 0) & (x <= 1))[:, None] & ((y >= 0) & (y <= 1))[:, :, None]
    return drawn.squeeze(1).sigmoid() * inside


@dataclass(frozen=True)
class Proposals:
    """What is where, densely, at stride 4: a heat per granularity of PROPOSED, peaks at centres;
    distances to the left, upper, right and lower side [cells]; and a logit per surface.
    """

    heat: Float[Tensor, "b 2 h w"]
    sides: Float[Tensor, "b 8 h w"]
    surfaces: Float[Tensor, "b s h w"]


class Propose(nn.Module):
    """Find centres and sides of things and parts (CenterNet, arXiv 1904.07850), and surfaces."""

    def __init__(self, *, channels: int, surfaces: int, width: int = 48) -> None:
        super().__init__()
        self.surfaces = surfaces
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.read = nn.Conv2d(width, 2 + 8 + surfaces, 1)
        nn.init.constant_(self.read.bias[:2], -3.0)  # type: ignore[index]

    def forward(self, dense: Float[Tensor, "b c h w"]) -> Proposals:
        x = F.relu(self.first(dense))
        x = F.relu(self.second(x)) + x
        heat, sides, surfaces = self.read(x).float().split([2, 8, self.surfaces], dim=1)
        return Proposals(heat=heat, sides=F.softplus(sides), surfaces=surfaces)


def peaks(
    proposals: Proposals, *, at_least: float, at_most: int
) -> list[list[tuple[int, float, tuple[float, float, float, float]]]]:
    """Return (index into PROPOSED, score, box in pixels) of the local peaks of every frame's heat,
    best first.
    """
    heat = proposals.heat.sigmoid()
    highest = F.max_pool2d(heat, 3, stride=1, padding=1)
    stride = STRIDES[DENSE]
    found = []
    for frame, values in enumerate(torch.where(heat >= highest, heat, heat.new_zeros(()))):
        scores, order = values.flatten().topk(min(at_most, values.numel()))
        height, width = values.shape[1:]
        boxes = []
        for score, index in zip(scores.tolist(), order.tolist(), strict=True):
            if score < at_least:
                break
            kind, row, column = index // (height * width), index // width % height, index % width
            left, up, right, down = proposals.sides[
                frame, 4 * kind : 4 * kind + 4, row, column
            ].tolist()
            x, y = column + 0.5, row + 0.5
            box = (x - left, y - up, x + right, y + down)
            boxes.append((kind, score, tuple(stride * v for v in box)))
        found.append(boxes)
    return found
