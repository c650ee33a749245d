"""Flow matching: the same denoiser, asked for the straight velocity from noise to actions (Lipman
et al. 2023).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.batch import PolicyBatch, PolicyObservation
from robot.policy.conditioning import ObservationEncoder
from robot.policy.denoiser import make_denoiser
from robot.policy.loss import chunk_loss
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.policy.schedule import gaussian
from robot.types import ACTION_DIM


class FlowPolicy(nn.Module):
    """Train on x(t) = (1 - t) noise + t actions, sample with `sample_steps` Euler steps, clip to
    the demonstrated range.
    """

    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        cameras: int = 2,
        in_channels: int = 5,
        image_size: int = 64,
        horizon: int = 16,
        width: int = 64,
        layers: int = 4,
        keypoints: int = 32,
        vision: str = "tokens",
        dim: int = 128,
        depth: int = 4,
        denoiser: str = "transformer",
        sample_steps: int = 10,
        noise_samples: int = 4,
    ):
        arguments = {
            name: value for name, value in locals().items() if name not in ("self", "__class__")
        }
        super().__init__()
        checked = check_statistics(statistics)
        self._config = arguments | {"statistics": checked}
        self.horizon, self.sample_steps, self.noise_samples = horizon, sample_steps, noise_samples
        self.encoder = ObservationEncoder(
            statistics=checked,
            cameras=cameras,
            in_channels=in_channels,
            image_size=image_size,
            width=width,
            layers=layers,
            keypoints=keypoints,
            dim=dim,
            vision=vision,
        )
        self.actions = MinMax(statistics=checked, key="action")
        self.denoiser = make_denoiser(
            denoiser, context_dim=self.encoder.out_dim, horizon=horizon, dim=dim, depth=depth
        )

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this policy, statistics included."""
        return dict(self._config)

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
        self, observation: PolicyObservation, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b t 7"]:
        """Draw one chunk of actions per observation, in physical units and inside the demonstrated
        range.
        """
        context = self.encoder(observation)
        x = gaussian(
            (len(context), self.horizon, ACTION_DIM), device=context.device, generator=generator
        )
        for i in range(self.sample_steps):
            time = torch.full((len(x),), i / self.sample_steps, device=x.device)
            x = x + self.denoiser(x, time, context).float() / self.sample_steps
        return self.actions.unnormalize(x.clamp(-1, 1))
