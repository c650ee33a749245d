"""Mask frames as training batches; apart from the frames, which processes that render them use
without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int

from robot.batch import LanguageTokens, MaskBatch, Sentences
from robot.data.mask_frames import MaskFrames


def mask_batch(
    frames: MaskFrames, indices: Int[np.ndarray, " b"], *, language: LanguageTokens | Sentences
) -> MaskBatch:
    """Return these records as a training batch; row g of `language` holds the words of
    `frames.goals[g]`.
    """
    return MaskBatch(
        frames=torch.from_numpy(frames.images[frames.image_ids[indices]])
        .permute(0, 3, 1, 2)
        .contiguous(),
        language=language[torch.from_numpy(frames.goal_ids[indices])],
        labels=torch.from_numpy(frames.labels[indices]),
        presence=torch.from_numpy(frames.presence[indices].astype(np.float32)),
    )


def in_order(
    frames: MaskFrames, size: int, *, language: LanguageTokens | Sentences
) -> Iterator[MaskBatch]:
    """Yield all records as batches of `size`, in order."""
    for start in range(0, len(frames), size):
        indices = np.arange(start, min(start + size, len(frames)))
        yield mask_batch(frames, indices, language=language)
