"""Diffusion in closed form: pure functions of alpha_bar, the share of signal variance that is left
at a step.

noisy = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) noise     (Ho et al. 2020, eq. 4)
Checked against `diffusers` (squaredcos_cap_v2, DDIM with trailing timesteps) in the tests.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robot.policy.sizes import PREDICTIONS as PREDICTIONS


def squared_cosine_betas(steps: int, *, largest: float = 0.999) -> Float[Tensor, " steps"]:
    """Return the noise variances of the squared-cosine schedule (Nichol and Dhariwal
    2021, eq. 17).
    """

    def alpha_bar(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [
        min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), largest) for i in range(steps)
    ]
    return torch.tensor(betas, dtype=torch.float32)


def alpha_bars(betas: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Return the cumulative products of 1 - beta."""
    return torch.cumprod(1 - betas, dim=0)


def add_noise(
    clean: Float[Tensor, "b t d"], noise: Float[Tensor, "b t d"], alpha_bar: Float[Tensor, "b 1 1"]
) -> Float[Tensor, "b t d"]:
    """Sample q(noisy | clean)."""
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def prediction_target(
    clean: Float[Tensor, "b t d"],
    noise: Float[Tensor, "b t d"],
    alpha_bar: Float[Tensor, "b 1 1"],
    prediction: str,
) -> Float[Tensor, "b t d"]:
    """Return what the denoiser is asked for: the noise, the clean actions, or v (Salimans and Ho
    2022).
    """
    if prediction == "epsilon":
        return noise
    if prediction == "sample":
        return clean
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean


def clean_from_prediction(
    predicted: Float[Tensor, "b t d"],
    noisy: Float[Tensor, "b t d"],
    alpha_bar: Float[Tensor, "*b"] | float,
    prediction: str,
) -> Float[Tensor, "b t d"]:
    """Inverse of `prediction_target`: recover the clean actions from what the denoiser said."""
    if prediction == "epsilon":
        return (noisy - (1 - alpha_bar) ** 0.5 * predicted) / alpha_bar**0.5
    if prediction == "sample":
        return predicted
    return alpha_bar**0.5 * noisy - (1 - alpha_bar) ** 0.5 * predicted


def ddim_timesteps(train_steps: int, sample_steps: int) -> Int[Tensor, " sample_steps"]:
    """Return the steps visited in sampling, most noisy first.

    "Trailing" spacing: it starts at the last training step, which is pure noise, as the first
    sample is (Lin et al. 2024).
    """
    return (
        torch.arange(train_steps, 0, -train_steps / sample_steps).round().long()[:sample_steps] - 1
    )


def ddim_step(
    noisy: Float[Tensor, "b t d"],
    clean: Float[Tensor, "b t d"],
    *,
    alpha_bar: Float[Tensor, "*b"] | float,
    alpha_bar_next: Float[Tensor, "*b"] | float,
) -> Float[Tensor, "b t d"]:
    """Move deterministically to a less noisy step, given the estimate of the clean actions (Song et
    al. 2021, eq. 12).
    """
    noise = (noisy - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5
    return alpha_bar_next**0.5 * clean + (1 - alpha_bar_next) ** 0.5 * noise


def gaussian(
    shape: tuple[int, ...], *, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draw standard normal noise where the generator lives, so that one seed gives one result on
    every device.
    """
    source = generator.device if generator is not None else device
    return torch.randn(shape, generator=generator, device=source).to(device)
