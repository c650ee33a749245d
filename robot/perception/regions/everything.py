"""Segment everything: parts, objects and the scene's surfaces, without being asked.

segments = segment_everything(frame)
smallest_at(segments, (x, y))   # what a click means: the smallest mask that holds it
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool
from torch.nn import functional as F

from robot.perception.regions.frames import Scaled, scaled
from robot.perception.regions.masks import PROPOSED, Proposals, peaks
from robot.perception.regions.network import Seen
from robot.perception.regions.vocabulary import vocabulary
from robot.types import Frame, InputError, Region

if TYPE_CHECKING:
    from robot.perception.regions.reader import RegionReader

GRANULARITIES = ("part", "object", "scene")
AT_LEAST = 0.2  # score of a segment
AT_MOST = 50  # segments of parts and objects
SAME = 0.7  # IoU from which two masks of one granularity are one
MIN_PIXELS = 4


@dataclass(frozen=True)
class Segment:
    """A mask with its box, numbered by `region.index`, best first."""

    region: Region
    granularity: str
    score: float


def segment_everything(
    frame: Frame,
    reader: RegionReader | None = None,
    *,
    granularities: Collection[str] = GRANULARITIES,
    at_least: float = AT_LEAST,
) -> tuple[Segment, ...]:
    """Return what a frame shows, best first, without two masks of the same thing."""
    from robot.perception.regions.reader import shipped_reader  # which imports this module

    if unknown := sorted(set(granularities) - set(GRANULARITIES)):
        raise InputError(
            f"got granularity {unknown[0]!r}, expected some of {', '.join(GRANULARITIES)}; choose "
            "among these"
        )
    reader = reader or shipped_reader()
    small = scaled(frame.image)
    with torch.inference_mode():
        found = segment_seen(reader, frame, reader.see(small), small, at_least=at_least)
    return numbered([s for s in found if s.granularity in granularities])


def segment_seen(
    reader: RegionReader,
    frame: Frame,
    seen: Seen,
    small: Scaled,
    *,
    at_least: float = AT_LEAST,
) -> tuple[Segment, ...]:
    """Segment a frame that is encoded already."""
    proposals = reader.network.propose(seen)
    proposed = peaks(proposals, at_least=at_least, at_most=AT_MOST)[0]
    masks = reader.draw(seen, [box for _, _, box in proposed], small)
    things = [
        (PROPOSED[kind], score, mask)
        for (kind, score, _), mask in zip(proposed, masks, strict=True)
        if mask.sum() >= MIN_PIXELS
    ]
    kept = [*without_repeats(things), *_surfaces(proposals, small)]
    return numbered(
        [Segment(Region(frame.camera, mask=mask), kind, score) for kind, score, mask in kept]
    )


def numbered(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return segments, best first, numbered from 1."""
    ordered = sorted(segments, key=lambda segment: -segment.score)
    return tuple(
        Segment(
            Region(s.region.camera, box=s.region.bounds, mask=s.region.mask, index=k),
            s.granularity,
            s.score,
        )
        for k, s in enumerate(ordered, start=1)
    )


def smallest_at(segments: Sequence[Segment], click: tuple[float, float]) -> Segment | None:
    """Return the segment with the smallest mask that holds a pixel (x, y); None where none does."""
    x, y = (int(v) for v in click)
    holding = [
        (int(s.region.mask.sum()), s)
        for s in segments
        if s.region.mask is not None and s.region.mask[y, x]
    ]
    return min(holding, key=lambda pair: pair[0])[1] if holding else None


def without_repeats(
    found: Sequence[tuple[str, float, Bool[np.ndarray, "h w"]]], *, same: float = SAME
) -> list[tuple[str, float, Bool[np.ndarray, "h w"]]]:
    """Keep the best of masks of one granularity that show the same."""
    kept: list[tuple[str, float, np.ndarray]] = []
    for kind, score, mask in sorted(found, key=lambda item: -item[1]):
        if all(k != kind or mask_iou(mask, other) < same for k, _, other in kept):
            kept.append((kind, score, mask))
    return kept


def mask_iou(one: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]) -> float:
    """Return intersection over union; 0 for two empty masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def _surfaces(proposals: Proposals, small: Scaled) -> list[tuple[str, float, np.ndarray]]:
    """Return the masks of table, room and arm, where they are seen."""
    height, width = small.original
    logits = F.interpolate(
        proposals.surfaces, size=(height, width), mode="bilinear", align_corners=False
    )[0]
    chances = logits.softmax(dim=0)
    best = chances.argmax(dim=0)
    found = []
    for number in range(1, 1 + len(vocabulary().scene_names)):
        mask = (best == number).cpu().numpy()
        if mask.sum() >= MIN_PIXELS:
            found.append(("scene", float(chances[number][best == number].mean()), mask))
    return found
