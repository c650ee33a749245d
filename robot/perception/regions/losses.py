"""What the region reader is trained on: the sum of one loss per thing that it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from robot.batch import LanguageTokens
from robot.perception.regions.heads import phrase_loss
from robot.perception.regions.masks import DENSE, DRAWN, Proposals
from robot.perception.regions.network import Regions
from robot.perception.regions.pool import roi_align
from robot.perception.regions.sizes import STRIDES
from robot.perception.regions.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from robot.perception.regions.network import RegionNetwork

OFFSET_SCALE_M = 0.1
DRAWN_REGIONS = 4  # of a frame, that masks are learned from
WEIGHTS = {
    "attributes": 1.0,
    "relations": 1.0,
    "offsets": 0.5,
    "phrases": 1.0,
    "masks": 1.0,
    "proposals": 1.0,
}


@dataclass(frozen=True)
class DenseTargets:
    """What `Proposals` should be: heat in [0, 1], sides in cells where `counts` is 1, and a surface
    per cell.
    """

    heat: Float[Tensor, "b 2 h w"]
    sides: Float[Tensor, "b 8 h w"]
    counts: Float[Tensor, "b 2 h w"]
    surfaces: Int[Tensor, "b h w"]


@dataclass(frozen=True)
class RegionBatch:
    """B frames with R regions each and what is true of them; UNKNOWN, and NaN, where nothing is
    known. `phrases` are P phrases, `asked` and `answers` say which of them each region is asked
    about, and what is true.
    """

    frames: Shaped[Tensor, "b 3 h w"]
    regions: Regions
    true_masks: Float[Tensor, "b r h w"]
    attributes: Mapping[str, Int[Tensor, "b r"]]
    relations: Float[Tensor, "b r r k"]
    offsets: Float[Tensor, "b r r 3"]
    phrases: LanguageTokens
    asked: Int[Tensor, "b r q"]
    answers: Bool[Tensor, "b r q"]
    dense: DenseTargets

    def to(self, device: torch.device | str) -> Self:
        """Return the batch as it is: regions are read where they are trained, on the CPU."""
        if torch.device(device).type != "cpu":
            raise ValueError(f"got device {device}, expected cpu: regions are trained there")
        return self


def region_loss(network: RegionNetwork, batch: RegionBatch) -> Float[Tensor, " b"]:
    """Return the loss of each frame."""
    seen = network.look(batch.frames)
    reading = network.read(seen, batch.regions)
    valid = batch.regions.valid
    losses = {
        "attributes": _attributes(reading.attributes, batch.attributes, valid),
        "relations": _relations(reading.relations, batch.relations, valid),
        "offsets": _offsets(reading.offsets, batch.offsets, valid),
        "phrases": _phrases(network, reading.tokens, batch),
        "masks": _masks(network.draw(seen, batch.regions.boxes[:, :DRAWN_REGIONS]), batch),
        "proposals": _proposals(network.propose(seen), batch.dense),
    }
    total = sum(WEIGHTS[name] * loss for name, loss in losses.items())
    assert isinstance(total, Tensor)
    return total


def _mean(values: Tensor, counted: Tensor) -> Float[Tensor, " b"]:
    """Return the mean over what is counted, per frame."""
    values, counted = values.flatten(1), counted.flatten(1).to(values.dtype)
    return (values * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1.0)


def _attributes(
    logits: Mapping[str, Tensor], truth: Mapping[str, Tensor], valid: Bool[Tensor, "b r"]
) -> Float[Tensor, " b"]:
    total = torch.zeros(len(valid))
    for kind, of_kind in logits.items():
        known = valid & (truth[kind] != UNKNOWN)
        loss = F.cross_entropy(
            of_kind.float().flatten(0, 1), truth[kind].clamp(min=0).flatten(), reduction="none"
        )
        total = total + _mean(loss.view_as(truth[kind]), known)
    return total


def _pairs(valid: Bool[Tensor, "b r"]) -> Bool[Tensor, "b r r"]:
    return valid[:, :, None] & valid[:, None]


def _relations(logits: Tensor, truth: Tensor, valid: Tensor) -> Float[Tensor, " b"]:
    known = _pairs(valid)[..., None] & ~truth.isnan()
    loss = F.binary_cross_entropy_with_logits(logits.float(), truth.nan_to_num(), reduction="none")
    return logits.shape[-1] * _mean(loss, known)


def _offsets(offsets: Tensor, truth: Tensor, valid: Tensor) -> Float[Tensor, " b"]:
    known = _pairs(valid)[..., None] & ~truth.isnan()
    loss = F.smooth_l1_loss(
        offsets.float() / OFFSET_SCALE_M,
        truth.nan_to_num() / OFFSET_SCALE_M,
        reduction="none",
        beta=0.2,
    )
    return _mean(loss, known)


def _phrases(network: RegionNetwork, tokens: Tensor, batch: RegionBatch) -> Float[Tensor, " b"]:
    """Regions without a word (`asked` is UNKNOWN) do not count."""
    read = network.phrases.read(batch.phrases)[batch.asked.clamp(min=0)]  # b r q queries dim
    questions = batch.asked.shape[-1]
    repeated = tokens[:, :, None].expand(-1, -1, questions, -1)
    log_yes = network.phrases(repeated, read)
    loss = phrase_loss(log_yes.flatten(), batch.answers.flatten()).view_as(log_yes)
    return _mean(loss, batch.regions.valid[..., None] & (batch.asked != UNKNOWN))


def _masks(logits: Tensor, batch: RegionBatch) -> Float[Tensor, " b"]:
    """Cross-entropy and Dice of the masks in the boxes."""
    batch_size, count = logits.shape[:2]
    truth = roi_align(
        batch.true_masks[:, :count].flatten(0, 1)[:, None],
        batch.regions.boxes[:, :count].flatten(0, 1)[:, None],
        stride=1,
        size=DRAWN,
        samples=1,
    ).view(batch_size, count, DRAWN, DRAWN)
    logits = logits.float()
    crossed = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(2, 3))
    drawn = logits.sigmoid()
    shared = (drawn * truth).sum(dim=(2, 3))
    dice = 1 - (2 * shared + 1) / (drawn.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)) + 1)
    return _mean(crossed + dice, batch.regions.valid[:, :count])


def _proposals(proposals: Proposals, truth: DenseTargets) -> Float[Tensor, " b"]:
    """Focal loss of the heat (CenterNet's), L1 of the sides' logarithms, cross-entropy of the
    surfaces.
    """
    heat = proposals.heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = (truth.heat > 0.99).float()
    focal = -centre * (1 - heat) ** 2 * heat.log()
    focal = focal - (1 - centre) * (1 - truth.heat) ** 4 * heat**2 * (1 - heat).log()
    focal = focal.flatten(1).sum(dim=1) / centre.flatten(1).sum(dim=1).clamp(min=1.0)
    off = ((proposals.sides + 0.1).log() - (truth.sides + 0.1).log()).abs()
    counts = truth.counts.repeat_interleave(4, dim=1)
    sides = _mean(off, counts)
    surface = F.cross_entropy(proposals.surfaces, truth.surfaces, reduction="none")
    return focal + sides + surface.flatten(1).mean(dim=1)


def dense_targets(
    boxes: Float[Tensor, "n 4"],
    kinds: Int[Tensor, " n"],
    surfaces: Int[Tensor, "h w"],
) -> DenseTargets:
    """Return the targets of one frame for n boxes [px] of granularities `kinds` (indices into
    PROPOSED), without a batch axis of their own: (1, ...).
    """
    height, width = surfaces.shape
    stride = STRIDES[DENSE]
    heat, counts = torch.zeros(1, 2, height, width), torch.zeros(1, 2, height, width)
    sides = torch.zeros(1, 8, height, width)
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    for box, kind in zip(boxes / stride, kinds.tolist(), strict=True):
        x0, y0, x1, y1 = box.tolist()
        column = min(max(int((x0 + x1) / 2), 0), width - 1)
        row = min(max(int((y0 + y1) / 2), 0), height - 1)
        sigma_x, sigma_y = max((x1 - x0) / 6, 0.35), max((y1 - y0) / 6, 0.35)
        near = torch.exp(
            -((columns - column - 0.5) ** 2) / (2 * sigma_x**2)
            - ((rows - row - 0.5) ** 2)[:, None] / (2 * sigma_y**2)
        )
        mine = near > 0.4
        heat[0, kind] = torch.maximum(heat[0, kind], near)
        distances = torch.stack(
            [
                (columns - x0).expand(height, -1),
                (rows - y0)[:, None].expand(-1, width),
                (x1 - columns).expand(height, -1),
                (y1 - rows)[:, None].expand(-1, width),
            ]
        ).clamp(min=0.0)
        sides[0, 4 * kind : 4 * kind + 4, mine] = distances[:, mine]
        counts[0, kind, mine] = 1.0
    return DenseTargets(heat=heat, sides=sides, counts=counts, surfaces=surfaces[None])
