"""Measures of masks and of presence. Per sample, so that confidence intervals can be taken over
samples.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def iou(
    mask: Float[Tensor, "*b h w"], truth: Float[Tensor, "*b h w"], *, threshold: float = 0.5
) -> Float[Tensor, "*b"]:
    """Intersection over union of each mask; NaN where both are empty (use `nanmean`), 0 where only
    one is.
    """
    kept, true = mask > threshold, truth > 0.5
    return (kept & true).sum(dim=(-2, -1)) / (kept | true).sum(dim=(-2, -1))


def auroc(scores: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> float:
    """Probability that a positive scores above a negative, ties half; NaN where the truth has only
    one class.
    """
    order = scores.unique(return_inverse=True)[1]
    counts = torch.bincount(order).double()
    rank = (counts.cumsum(0) - (counts - 1) / 2)[order]  # mean rank of ties, from 1
    positive = truth > 0.5
    positives, negatives = positive.sum().item(), (~positive).sum().item()
    if not positives or not negatives:
        return float("nan")
    return (rank[positive].sum().item() - positives * (positives + 1) / 2) / (positives * negatives)
