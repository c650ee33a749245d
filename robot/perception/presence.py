"""Presence logits -> calibrated probability -> one status per call."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from robot.types import InputError, MaskStatus

FOUND_ABOVE, ABSENT_BELOW = 0.8, 0.5  # presence, calibrated; between the two a target is uncertain
_LARGEST_LOG_TEMPERATURE = 5.0  # logits that know nothing want an infinite temperature


def calibrate(
    presence_logits: Float[Tensor, "n _"], truth: Float[Tensor, "m _"]
) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """Fit sigmoid(logit / temperature + bias) to held-out frames, for target and destination apart.

    Platt scaling with Platt's smoothed targets, so that a perfect separation does not end in certainty. A channel whose truth
    never varies cannot be fitted and keeps temperature 1, bias 0.
    """
    if presence_logits.shape != truth.shape or presence_logits.ndim != 2 or not len(truth):
        raise InputError(
            f"got logits {tuple(presence_logits.shape)} and truth {tuple(truth.shape)}, expected both (N, 2) with N >= 1, "
            "calibrate on the head's outputs for labelled held-out frames"
        )
    fits = [_fit(logits, label) for logits, label in zip(presence_logits.double().T, truth.double().T, strict=True)]
    return torch.tensor([fit[0] for fit in fits]), torch.tensor([fit[1] for fit in fits])


def _fit(logits: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> tuple[float, float]:
    positives, negatives = truth.sum(), (1 - truth).sum()
    if not positives or not negatives:
        return 1.0, 0.0
    target = torch.where(truth > 0.5, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    parameters = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # log temperature, bias
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = logits / parameters[0].exp() + parameters[1]
        loss = F.binary_cross_entropy_with_logits(scaled, target)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[arg-type]
    return parameters[0].detach().clamp(-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE).exp().item(), parameters[1].item()


def status_of(target_presence: float, *, found_above: float, absent_below: float) -> MaskStatus:
    """Turn the probability that any camera sees the target into a status."""
    if target_presence >= found_above:
        return MaskStatus.FOUND
    return MaskStatus.ABSENT if target_presence <= absent_below else MaskStatus.UNCERTAIN
