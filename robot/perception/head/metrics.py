"""Measures of masks and of presence. Per sample, so that confidence intervals can be taken over
samples.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def iou(
    mask: Float[Tensor, "*b h w"], truth: Float[Tensor, "*b h w"], *, threshold: float = 0.5
) -> Float[Tensor, "*b"]:
    """Intersection over union of each mask; NaN where both are empty (use `nanmean`), 0 where only
    one is.
    """
    kept, true = mask > threshold, truth > 0.5
    return (kept & true).sum(dim=(-2, -1)) / (kept | true).sum(dim=(-2, -1))


def boundary_f(
    mask: Float[Tensor, "*b h w"],
    truth: Float[Tensor, "*b h w"],
    *,
    threshold: float = 0.5,
    tolerance: int = 1,
) -> Float[Tensor, "*b"]:
    """F-score of boundary pixels matched within `tolerance` pixels (DAVIS, Perazzi 2016); NaN where
    both are empty.
    """
    edge, true_edge = _edge(mask > threshold), _edge(truth > 0.5)
    matched = (edge & _dilate(true_edge, tolerance)).sum(dim=(-2, -1))
    recalled = (true_edge & _dilate(edge, tolerance)).sum(dim=(-2, -1))
    count, true_count = edge.sum(dim=(-2, -1)), true_edge.sum(dim=(-2, -1))
    precision, recall = matched / count.clamp(min=1), recalled / true_count.clamp(min=1)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
    return torch.where(count + true_count > 0, score, torch.nan)


def _edge(mask: Tensor) -> Tensor:
    """Pixels of the mask with a 4-neighbour outside it; beyond the frame counts as outside."""
    padded = F.pad(mask, (1, 1, 1, 1))
    inside = (
        padded[..., :-2, 1:-1]
        & padded[..., 2:, 1:-1]
        & padded[..., 1:-1, :-2]
        & padded[..., 1:-1, 2:]
    )
    return mask & ~inside


def _dilate(mask: Tensor, radius: int) -> Tensor:
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    return F.max_pool2d(flat, 2 * radius + 1, stride=1, padding=radius).view(mask.shape) > 0


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


def accuracy(
    probability: Float[Tensor, " n"], truth: Float[Tensor, " n"], *, threshold: float = 0.5
) -> float:
    """Share of samples on the right side of the threshold."""
    return ((probability > threshold) == (truth > 0.5)).float().mean().item()


def expected_calibration_error(
    probability: Float[Tensor, " n"], truth: Float[Tensor, " n"], *, bins: int = 10
) -> float:
    """Mean |confidence - frequency| over equal bins of the probability, weighted by their counts
    (Guo 2017).
    """
    index = (probability * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(
        0, index, (probability - truth).double()
    )
    return (gap.abs().sum() / len(truth)).item()
