"""Looks in which what a goal names, or all else, has another hue: a name that says nothing of
colour must not lean on it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from robot.batch import MaskBatch
from robot.train.region_hues import random_turn
from robot.types import Label

NAMED = (Label.TARGET, Label.DESTINATION)


def looks_in_other_hues(
    batch: MaskBatch, *, cameras: int, share: float, rng: np.random.Generator
) -> MaskBatch:
    """Return whole looks of `cameras` frames each, a `share` of them changed: in one half target
    and destination get a hue each, in the other all but them get one, so that an odd colour does
    not tell which is meant. All cameras of a look see the same.
    """
    frames = batch.frames.clone()
    for look in torch.arange(len(frames)).split(cameras):
        if rng.random() >= share:
            continue
        labels = batch.labels[look]
        parts = [labels == role for role in NAMED]
        if rng.random() < 0.5:
            parts = [~(parts[0] | parts[1])]
        pixels = frames[look].permute(0, 2, 3, 1)
        for part in parts:
            turn = torch.from_numpy(random_turn(rng))
            pixels[part] = (pixels[part].float() @ turn.T).clamp(0, 255).to(torch.uint8)
        frames[look] = pixels.permute(0, 3, 1, 2)
    return replace(batch, frames=frames)
