"""The one reduction that all policies share: errors of a chunk to one number per sample."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def chunk_loss(error: Float[Tensor, "b t d"], valid: Bool[Tensor, "b t"]) -> Float[Tensor, " b"]:
    """Average the error over action dimensions and valid steps; a sample without a valid step costs
    0.
    """
    weight = valid.to(error.dtype)
    return (error.mean(-1) * weight).sum(-1) / weight.sum(-1).clamp(min=1)
