"""Discriminator-weighted supervised learning, pure: losses that tell trusted data from machine
data, and weights that follow.

A discriminator gives every sample a logit; its score s = sigmoid(logit) is how much the sample
looks like trusted data. The weight of a sample multiplies its own loss. Vectors are (B,), one entry
per sample: a (B, 1) weight would broadcast against a (B,) loss to (B, B) and weight nothing, so it
is refused.

Sources: Zheng et al. 2024 (arXiv 2405.19783) for the binary rule, Xu et al. 2022 (DWBC, arXiv
2207.10050) for the positive-unlabelled one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from robot.types import InputError

LOW, HIGH = (
    0.1,
    0.9,
)  # scores are clipped to this: no sample counts for nothing, and no ratio d / (1 - d) exceeds 9
SMALLEST_LOSS = 1e-6
RULES = ("binary", "unlabelled")


def check_vectors(**vectors: Tensor) -> None:
    """Raise InputError unless all are (B,) with the same B > 0."""
    shapes = {name: tuple(vector.shape) for name, vector in vectors.items()}
    if len(set(shapes.values())) != 1 or any(
        len(shape) != 1 or shape[0] == 0 for shape in shapes.values()
    ):
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise InputError(
            f"got {shown}, expected vectors [B] of one length: one number per sample, so squeeze "
            "what is [B, 1], "
            "which would broadcast to [B, B] and weight nothing"
        )


def loss_feature(losses: Tensor) -> Float[Tensor, "b 1"]:
    """Return a generator's losses (B,) as a discriminator sees them: their logarithm, since they
    spread over decades.

    No gradient goes back to whatever had the losses.
    """
    check_vectors(losses=losses)
    return losses.detach().float().clamp(min=SMALLEST_LOSS).log()[:, None]


# --- losses of the discriminator, per sample


def binary_loss(
    logits: Tensor, trusted: Tensor, *, trusted_weight: float = 1.0, machine_weight: float = 1.0
) -> Float[Tensor, " b"]:
    """Return -log s for trusted samples and -log(1 - s) for machine samples, each times the weight
    of its term.
    """
    check_vectors(logits=logits, trusted=trusted)
    return torch.where(
        trusted > 0.5, trusted_weight * F.softplus(-logits), machine_weight * F.softplus(logits)
    )


def unlabelled_loss(
    logits: Tensor,
    trusted: Tensor,
    *,
    eta: float = 0.5,
    trusted_weight: float = 1.0,
    machine_weight: float = 1.0,
) -> Float[Tensor, " b"]:
    """Return -log d + log(1 - d) for trusted samples, -log(1 - d) / eta for unlabelled ones; d is
    the clipped score.

    `eta` is the share of the unlabelled samples that are as good as trusted ones; -log d_e - log(1
    - d_o) / eta + log(1 - d_e) is DWBC's loss divided by eta.
    """
    check_vectors(logits=logits, trusted=trusted)
    if not 0 < eta <= 1:
        raise InputError(
            f"got eta {eta}, expected the share of good samples among the unlabelled, above 0 and "
            "at most 1"
        )
    d = clipped(logits.sigmoid())
    positive, unlabelled = torch.log1p(-d) - torch.log(d), -torch.log1p(-d) / eta
    return torch.where(trusted > 0.5, trusted_weight * positive, machine_weight * unlabelled)


def discriminator_loss(
    logits: Tensor,
    trusted: Tensor,
    *,
    rule: str,
    eta: float,
    trusted_weight: float,
    machine_weight: float,
) -> Float[Tensor, " b"]:
    """Return the loss of a rule by name."""
    check_rule(rule)
    terms = {"trusted_weight": trusted_weight, "machine_weight": machine_weight}
    return (
        binary_loss(logits, trusted, **terms)
        if rule == "binary"
        else unlabelled_loss(logits, trusted, eta=eta, **terms)
    )


def check_rule(rule: str) -> None:
    """Raise InputError unless there is such a rule."""
    if rule not in RULES:
        raise InputError(
            f"got rule {rule!r}, expected one of {', '.join(RULES)}; pass rule=<one of these>"
        )


# --- weights from scores in [0, 1], without gradients


def clipped(scores: Tensor) -> Float[Tensor, " b"]:
    """Return the scores clipped to [LOW, HIGH]."""
    check_vectors(scores=scores)
    return scores.clamp(LOW, HIGH)


def binary_weights(scores: Tensor) -> Float[Tensor, " b"]:
    """Return the clipped scores, scaled to mean 1."""
    return normalised(clipped(scores.detach()))


def unlabelled_weights(scores: Tensor) -> Float[Tensor, " b"]:
    """Return d / (1 - d) where d >= 0.5, else 0: the density of good samples among the unlabelled,
    relative to theirs.
    """
    d = clipped(scores.detach())
    return torch.where(d >= 0.5, d / (1 - d), 0.0)


def trusted_weights(scores: Tensor, *, alpha: float = 7.5, eta: float = 0.5) -> Float[Tensor, " b"]:
    """Return alpha - eta / (d (1 - d)) - 1, at least 0: DWBC's weight of trusted samples, which
    falls as d leaves 0.5.
    """
    d = clipped(scores.detach())
    return (alpha - eta / (d * (1 - d)) - 1).clamp(min=0)


def rule_weights(scores: Tensor, trusted: Tensor, *, rule: str, eta: float) -> Float[Tensor, " b"]:
    """Return the weights of a rule, scaled to mean 1: clipped scores (binary), or DWBC's for each
    of the two tiers.
    """
    check_rule(rule)
    check_vectors(scores=scores, trusted=trusted)
    if rule == "binary":
        return binary_weights(scores)
    return normalised(
        torch.where(trusted > 0.5, trusted_weights(scores, eta=eta), unlabelled_weights(scores))
    )


def normalised(weights: Tensor) -> Float[Tensor, " b"]:
    """Scale weights to mean 1, so that the learning rate keeps its meaning."""
    check_vectors(weights=weights)
    mean = weights.mean()
    if not (bool(torch.isfinite(mean)) and bool((weights >= 0).all()) and float(mean) > 0):
        raise InputError(
            f"got weights of mean {float(mean):.3g}, expected finite ones >= 0, not all 0: check "
            "the scores"
        )
    return weights / mean


def weighted(per_sample: Tensor, weights: Tensor) -> Float[Tensor, " b"]:
    """Multiply each sample's loss by its own weight; no gradient reaches the weights."""
    check_vectors(losses=per_sample, weights=weights)
    return per_sample * weights.detach()


# --- the ways to weight demonstrations, for comparison: each maps what is known of N samples to N
# weights


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of N episodes or windows: the discriminator's scores, the tier, and (in
    simulation) the truth.

    `scores` and `weights` (mean 1) may be None for weightings that ask no discriminator.
    """

    trusted: Bool[Tensor, " n"]
    clean: Bool[Tensor, " n"]
    scores: Float[Tensor, " n"] | None = None
    weights: Float[Tensor, " n"] | None = None


def uniform(known: Evidence) -> Float[Tensor, " n"]:
    """Weigh everything alike."""
    return torch.ones(len(known.trusted))


def trusted_only(known: Evidence) -> Float[Tensor, " n"]:
    """Leave machine samples out."""
    return known.trusted.float()


def fixed(known: Evidence, *, machine: float = 0.2) -> Float[Tensor, " n"]:
    """Give trusted samples 1 and machine samples one smaller weight."""
    return torch.where(known.trusted, 1.0, machine)


def hard_filter(known: Evidence, *, threshold: float = 0.5) -> Float[Tensor, " n"]:
    """Drop machine samples that score below the threshold, keep all others at 1."""
    assert known.scores is not None
    return (known.trusted | (known.scores >= threshold)).float()


def oracle(known: Evidence) -> Float[Tensor, " n"]:
    """Keep what is clean, drop what is corrupted, as only a simulator knows: the ceiling of all
    others.
    """
    return known.clean.float()


def dwsl(known: Evidence) -> Float[Tensor, " n"]:
    """Give every sample the weight that the discriminator's score earned it."""
    assert known.weights is not None
    return known.weights


Weighting = Callable[[Evidence], Tensor]
WEIGHTINGS: dict[str, Weighting] = {
    "uniform": uniform,
    "trusted_only": trusted_only,
    "fixed": fixed,
    "hard_filter": hard_filter,
    "oracle": oracle,
    "dwsl": dwsl,
}
NEED_SCORES = ("hard_filter", "dwsl")


def check_weighting(name: str) -> None:
    """Raise InputError unless there is such a weighting."""
    if name not in WEIGHTINGS:
        raise InputError(
            f"got weighting {name!r}, expected one of {', '.join(WEIGHTINGS)}; pass weighting=<one "
            "of these>"
        )
