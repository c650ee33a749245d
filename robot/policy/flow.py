"""Flow matching: the same denoiser, asked for the straight velocity from noise to actions (Lipman
et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from robot.batch import PolicyBatch, PolicyObservation
from robot.policy.conditioning import ObservationEncoder
from robot.policy.config import DEFAULT_ENCODER, EncoderConfig
from robot.policy.denoiser import conditions, make_denoiser
from robot.policy.inpainting import Known, Prefix, inpainted
from robot.policy.loss import chunk_loss
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.policy.rebuildable import Rebuildable, keeps_arguments
from robot.policy.schedule import gaussian
from robot.system.device import one_thread


class FlowPolicy(Rebuildable):
    """Train on x(t) = (1 - t) noise + t actions, sample with `sample_steps` Euler steps, clip to
    the demonstrated range.
    """

    @keeps_arguments
    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        encoder: EncoderConfig | Mapping[str, Any] = DEFAULT_ENCODER,
        horizon: int = 16,
        depth: int = 4,
        denoiser: str = "transformer",
        sample_steps: int = 10,
        noise_samples: int = 4,
    ):
        super().__init__()
        checked, config = check_statistics(statistics), EncoderConfig.of(encoder)
        self.horizon, self.sample_steps, self.noise_samples = horizon, sample_steps, noise_samples
        self.encoder = ObservationEncoder(statistics=checked, config=config)
        self.actions = MinMax(statistics=checked, key="action")
        self.denoiser = make_denoiser(
            denoiser,
            action_dim=self.actions.dim,
            context_dim=self.encoder.out_dim,
            horizon=horizon,
            dim=config.dim,
            depth=depth,
        )

    def loss(
        self, batch: PolicyBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the velocity error per sample, averaged over `noise_samples` random times."""
        context = self.encoder(batch.observation).repeat_interleave(self.noise_samples, dim=0)
        clean = self.actions.normalize(batch.actions).repeat_interleave(
            self.noise_samples, dim=0
        )  # (b k, t, 7)
        noise = gaussian(tuple(clean.shape), device=clean.device, generator=generator)
        # The sigmoid of a normal: most of what is hard to learn lies between pure noise and the
        # data (Esser et al. 2024).
        time = gaussian((len(clean),), device=clean.device, generator=generator).sigmoid()
        noisy = torch.lerp(noise, clean, time[:, None, None])
        predicted = self.denoiser(noisy, time, context).float()
        valid = batch.valid.repeat_interleave(self.noise_samples, dim=0)
        error = (predicted - (clean - noise)).square()
        return chunk_loss(error, valid).unflatten(0, (-1, self.noise_samples)).mean(-1)

    @torch.no_grad()
    def sample(
        self,
        observation: PolicyObservation,
        generator: torch.Generator | None = None,
        *,
        prefix: Prefix | None = None,
    ) -> Float[Tensor, "b t a"]:
        """Draw one chunk of actions per observation, in physical units and inside the demonstrated
        range; with a `prefix`, one that continues it.
        """
        known = prefix and Known.of(prefix, actions=self.actions, horizon=self.horizon)
        context = self.encoder(observation)
        shape = (len(context), self.horizon, self.actions.dim)
        x = gaussian(shape, device=context.device, generator=generator)
        times = torch.arange(self.sample_steps, device=x.device) / self.sample_steps
        with one_thread(when=len(x) == 1):  # a chunk is sixteen tokens
            for step, condition in enumerate(conditions(self.denoiser, times, context)):
                left = 1 - step / self.sample_steps  # of the way from noise to actions
                estimate = partial(self._estimate, left=left)
                clean = inpainted(estimate, x, condition, known, signal=1 - left, noise=left)
                x = x + (clean - x) / (left * self.sample_steps)
        return self.actions.unnormalize(x.clamp(-1, 1))

    def _estimate(
        self, x: Float[Tensor, "b t a"], condition: Tensor, *, left: float
    ) -> Float[Tensor, "b t a"]:
        """Return where the velocity leads from here."""
        return x + left * self.denoiser.denoise(x, condition).float()
