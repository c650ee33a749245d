"""Discriminator-weighted supervised learning for masks, the pure part: the discriminator's loss and the weights it gives.

From IVM (arXiv 2405.19783): L_D = -E_trusted[log s(D)] - E_machine[log(1 - s(D))]; w = clip(s(D), .1, .9), a constant to the
generator, whose loss is E[w (BCE + Dice)].
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from robot.types import InputError

LOWEST, HIGHEST = 0.1, 0.9  # no mask counts for nothing, none for everything


def discriminator_loss(logits_trusted: Tensor, logits_machine: Tensor) -> Float[Tensor, " b"]:
    """Return L_D per pair of a trusted and a machine mask, (B,): its mean is L_D. InputError unless both are (B,)."""
    _require_vector(logits_trusted)
    if logits_machine.shape != logits_trusted.shape:  # (B, 1) would broadcast to (B, B)
        raise InputError(
            f"got logits {tuple(logits_trusted.shape)} trusted and {tuple(logits_machine.shape)} machine, expected both (B,)"
        )
    return F.softplus(-logits_trusted) + F.softplus(logits_machine)


def clipped_weights(logits: Tensor) -> Float[Tensor, " b"]:
    """Return clip(s(D), .1, .9) (B,), scaled to batch mean 1: the learning rate keeps its meaning. No gradient passes."""
    _require_vector(logits)
    weights = logits.detach().sigmoid().clamp(LOWEST, HIGHEST)
    return weights / weights.mean()


def _require_vector(logits: Tensor) -> None:
    if logits.ndim != 1:
        raise InputError(f"got logits {tuple(logits.shape)}, expected (B,): one number per sample")
