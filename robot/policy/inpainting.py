"""Actions that are decided already, while a new chunk is sampled: real-time chunking (Black et al.
2025, arXiv 2506.07339). The new chunk begins with what will be executed while it is planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from robot.policy.normalize import MinMax

GREATEST_GUIDANCE = 5.0  # beta of the paper


@dataclass(frozen=True)
class Prefix:
    """Actions that a chunk is to begin with, in physical units; `weight` is 1 where they are
    decided, and falls to 0 where the chunk is free.

    `guided` follows the gradient of the error at every denoising step, as the paper does, which
    takes about three times as long; otherwise the estimates are mixed by weight.
    """

    actions: Float32[np.ndarray, "t a"]
    weight: Float32[np.ndarray, " t"]
    guided: bool = False


@dataclass(frozen=True)
class Known:
    """A prefix as a sampler uses it: normalised, as long as the chunk, 0 where nothing is known."""

    clean: Float[Tensor, "1 t a"]
    weight: Float[Tensor, "1 t 1"]
    guided: bool

    @staticmethod
    def of(prefix: Prefix, *, actions: MinMax, horizon: int) -> Known:
        """Return a prefix for chunks of `horizon` actions; what is longer is cut off."""
        device, count = actions.center.device, min(horizon, len(prefix.actions))
        clean = torch.zeros(1, horizon, actions.dim, device=device)
        weight = torch.zeros(1, horizon, 1, device=device)
        given = torch.from_numpy(prefix.actions[:count]).to(device)
        clean[0, :count] = actions.normalize(given).clamp(-1, 1)
        weight[0, :count, 0] = torch.from_numpy(prefix.weight[:count]).to(device)
        return Known(clean=clean, weight=weight, guided=prefix.guided)


def soft_weights(*, decided: int, known: int) -> Float32[np.ndarray, " n"]:
    """Return weights of `known` actions, the first `decided` of them certain; the rest fall
    exponentially (the paper's equation 5).
    """
    steps = np.arange(known)
    share = (known - steps) / (known - decided + 1)
    soft = share * np.expm1(np.clip(share, 0, 1)) / np.expm1(1.0)
    return np.where(steps < decided, 1.0, soft).astype(np.float32)


def inpainted(
    estimate: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "b t a"],
    condition: Tensor,
    known: Known | None,
    *,
    signal: float,
    noise: float,
) -> Float[Tensor, "b t a"]:
    """Return the estimate of the clean actions behind x = signal * clean + noise * gaussian, drawn
    to what is known, and equal to it where it is decided. In between it is mixed by weight, or
    guided by the gradient of the error (PiGDM).
    """
    if known is None:
        return estimate(x, condition)
    if not known.guided:
        return torch.lerp(estimate(x, condition), known.clean, known.weight)
    # a chunk is planned in inference mode, where nothing has a gradient
    with torch.inference_mode(False), torch.enable_grad():
        noisy = x.clone().requires_grad_()
        clean = estimate(noisy, condition.clone())
        error = known.weight * (known.clean - clean.detach())
        (pull,) = torch.autograd.grad(clean, noisy, grad_outputs=error)
    guided = clean.detach() + guidance(signal=signal, noise=noise) * pull
    return torch.where(known.weight >= 1, known.clean, guided)


def guidance(*, signal: float, noise: float) -> float:
    """Return how much of the gradient is added: the paper's equation 2 for x scaled such that
    signal + noise = 1, as in flow matching.
    """
    scale = signal + noise
    tau = signal / scale
    strongest = GREATEST_GUIDANCE * (1 - tau)
    wanted = (tau**2 + (1 - tau) ** 2) / tau if tau > 0 else strongest
    return scale * min(strongest, wanted)
