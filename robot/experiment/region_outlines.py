"""How well a reader of regions draws: masks in boxes, everything that can be segmented, clicks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool

from robot.experiment.region_scenes import Scene, things
from robot.perception.regions.everything import (
    Segment,
    mask_iou,
    segment_everything,
    smallest_at,
)
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.vocabulary import vocabulary
from robot.types import Region

LEAST_DRAWN = 30  # pixels of an object whose mask is drawn in its box
IOUS = np.arange(0.5, 0.96, 0.05)
AT = 50  # segments that AR counts


def box_masks(reader: RegionReader, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return the mean IoU of masks drawn in the true boxes of objects, and of the filled boxes."""
    drawn, filled = [], []
    for scene in scenes:
        masks = [
            r.mask
            for r in scene.regions
            if r.granularity == "object" and r.mask.sum() >= LEAST_DRAWN
        ]
        boxes = [Region("", mask=mask).bounds for mask in masks]
        for mask, box, guess in zip(masks, boxes, reader.masks_of(scene.frame, boxes), strict=True):
            full = np.zeros_like(mask)
            x0, y0, x1, y1 = map(int, box)
            full[y0:y1, x0:x1] = True
            drawn.append(mask_iou(guess, mask))
            filled.append(mask_iou(full, mask))
    return {"miou": float(np.mean(drawn)), "filled_box_miou": float(np.mean(filled))}


def everything_recall(reader: RegionReader, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return recall at IoU 0.5 by granularity, AR with the best AT segments, and how many segments
    a frame got.
    """
    best: dict[str, list[float]] = {"part": [], "object": [], "scene": []}
    counts, clicks = [], []
    for scene in scenes:
        segments = segment_everything(scene.frame, reader)
        counts.append(len(segments))
        for region in scene.regions:
            best[region.granularity].append(_best_iou(segments[:AT], region.mask))
        clicks += list(_clicks(scene, segments))
    every = np.concatenate([np.array(values) for values in best.values()])
    recalls = {
        f"recall_{kind}": float(np.mean(np.array(v) >= 0.5)) for kind, v in best.items() if v
    }
    ar = float(np.mean([(every >= iou).mean() for iou in IOUS]))
    return recalls | {
        f"ar_{AT}": ar,
        "segments": float(np.mean(counts)),
        "click_miou": float(np.mean(clicks)) if clicks else 0.0,
    }


def _best_iou(segments: Sequence[Segment], mask: Bool[np.ndarray, "h w"]) -> float:
    return max((mask_iou(s.region.mask, mask) for s in segments), default=0.0)  # type: ignore[arg-type]


def _clicks(scene: Scene, segments: Sequence[Segment]) -> Iterator[float]:
    """Yield the IoU of what a click into the middle of an object without parts selects."""
    parted = vocabulary().parts_of
    for _, _, region in things([scene]):
        if region.words["names"] in parted:
            continue
        pixels = np.argwhere(region.mask)
        row, column = pixels[np.abs(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()]
        chosen = smallest_at(segments, (float(column), float(row)))
        yield 0.0 if chosen is None else mask_iou(chosen.region.mask, region.mask)  # type: ignore[arg-type]
