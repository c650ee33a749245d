"""Diffusion policy: denoise a chunk of actions, given masked composites, proprioception
and a goal.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from robot.batch import PolicyBatch, PolicyObservation
from robot.policy import schedule
from robot.policy.conditioning import ObservationEncoder
from robot.policy.config import DEFAULT_ENCODER, EncoderConfig
from robot.policy.denoiser import conditions, make_denoiser
from robot.policy.inpainting import Known, Prefix, inpainted
from robot.policy.loss import chunk_loss
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.policy.rebuildable import Rebuildable, keeps_arguments
from robot.policy.sizes import check_prediction, check_sampling
from robot.system.device import one_thread


class DiffusionPolicy(Rebuildable):
    """DDPM training, DDIM sampling, min-max actions clipped to the demonstrated range at every
    step.

    `noise_samples` noise levels are trained per observation: more of them where encoding the images
    costs more than denoising.
    """

    alpha_bars: Tensor
    sample_times: Tensor

    @keeps_arguments
    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        encoder: EncoderConfig | Mapping[str, Any] = DEFAULT_ENCODER,
        horizon: int = 16,
        depth: int = 4,
        denoiser: str = "transformer",
        prediction: str = "sample",
        train_steps: int = 100,
        sample_steps: int = 3,
        noise_samples: int = 1,
    ):
        super().__init__()
        check_prediction(prediction)
        check_sampling(sample_steps=sample_steps, train_steps=train_steps)
        checked, config = check_statistics(statistics), EncoderConfig.of(encoder)
        self.horizon, self.prediction, self.noise_samples = horizon, prediction, noise_samples
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
        self.register_buffer(
            "alpha_bars",
            schedule.alpha_bars(schedule.squared_cosine_betas(train_steps)),
            persistent=False,
        )
        steps = schedule.ddim_timesteps(train_steps, sample_steps)
        self.register_buffer("sample_times", self._time(steps), persistent=False)
        # as floats: a scalar tensor costs a kernel wherever it is used
        self.levels = [*self.alpha_bars[steps].double().tolist(), 1.0]

    def loss(
        self, batch: PolicyBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the denoising error per sample, averaged over `noise_samples` random
        noise levels.
        """
        context = self.encoder(batch.observation).repeat_interleave(self.noise_samples, dim=0)
        clean = self.actions.normalize(batch.actions).repeat_interleave(
            self.noise_samples, dim=0
        )  # (b k, t, 7)
        noise = schedule.gaussian(tuple(clean.shape), device=clean.device, generator=generator)
        step = self._random_steps(len(clean), generator)
        alpha_bar = self.alpha_bars[step][:, None, None]
        predicted = self.denoiser(
            schedule.add_noise(clean, noise, alpha_bar), self._time(step), context
        )
        target = schedule.prediction_target(clean, noise, alpha_bar, self.prediction)
        valid = batch.valid.repeat_interleave(self.noise_samples, dim=0)
        return (
            chunk_loss((predicted.float() - target).square(), valid)
            .unflatten(0, (-1, self.noise_samples))
            .mean(-1)
        )

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
        batch, device = len(context), context.device
        shape = (batch, self.horizon, self.actions.dim)
        x = schedule.gaussian(shape, device=device, generator=generator)
        with one_thread(when=batch == 1):  # a chunk is sixteen tokens
            for condition, (level, following) in zip(
                conditions(self.denoiser, self.sample_times, context),
                itertools.pairwise(self.levels),
                strict=True,
            ):
                clean = inpainted(
                    partial(self._estimate, level=level),
                    x,
                    condition,
                    known,
                    signal=level**0.5,
                    noise=(1 - level) ** 0.5,
                ).clamp(-1, 1)
                x = schedule.ddim_step(x, clean, alpha_bar=level, alpha_bar_next=following)
        return self.actions.unnormalize(x)

    def _estimate(
        self, x: Float[Tensor, "b t a"], condition: Tensor, *, level: float
    ) -> Float[Tensor, "b t a"]:
        """Return the clean actions behind noisy ones."""
        predicted = self.denoiser.denoise(x, condition).float()
        return schedule.clean_from_prediction(predicted, x, level, self.prediction)

    def _time(self, step: Tensor) -> Float[Tensor, " b"]:
        return step.float() / len(self.alpha_bars)

    def _random_steps(self, count: int, generator: torch.Generator | None) -> Tensor:
        source = generator.device if generator is not None else self.alpha_bars.device
        return torch.randint(len(self.alpha_bars), (count,), generator=generator, device=source).to(
            self.alpha_bars.device
        )
