"""Platt scaling: from logits of held-out samples to probabilities that are as sure as they have a
right to be.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def platt(
    logits: Float[Tensor, " n"], truth: Float[Tensor, " n"], *, balanced: bool = False
) -> tuple[float, float]:
    """Return (slope, bias) of sigmoid(slope * logit + bias), fitted to truth 0 or 1 of which there
    are both.

    Targets are smoothed as Platt's, so that a perfect separation does not end in certainty.
    `balanced` gives both truths the same total weight. A slope of 0 or below says that the logits
    know nothing of the truth.
    """
    logits, truth = logits.double(), truth.double()
    positives, negatives = truth.sum(), (1 - truth).sum()
    target = torch.where(truth > 0.5, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = (
        torch.where(truth > 0.5, 1 / positives, 1 / negatives)
        if balanced
        else torch.full_like(truth, 1 / len(truth))
    )
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = parameters[0] * logits + parameters[1]
        loss = F.binary_cross_entropy_with_logits(scaled, target, weight=weight, reduction="sum")
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[arg-type]
    slope, bias = parameters.tolist()
    return slope, bias
