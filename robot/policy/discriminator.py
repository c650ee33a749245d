"""Tell trusted demonstrations from machine ones, window by window: the weights of a policy's demonstrations come from it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.batch import PolicyBatch, TierBatch
from robot.dwsl import check_rule, check_vectors, discriminator_loss
from robot.policy.conditioning import ObservationEncoder
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.types import ACTION_DIM, InputError

SMALLEST_LOSS = 1e-6  # its logarithm is what is judged: losses spread over decades


class Discriminator(nn.Module):
    """Judge (observation, action chunk, loss of a policy on it) by an encoder of its own (DWBC, Xu et al. 2022).

    The policy's loss comes in as a number: it tells how surprising the actions are, and no gradient goes back to the policy.
    """

    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        cameras: int = 2,
        in_channels: int = 6,
        image_size: int = 32,
        horizon: int = 16,
        width: int = 32,
        layers: int = 3,
        keypoints: int = 16,
        dim: int = 64,
        rule: str = "binary",
        eta: float = 0.5,
        trusted_weight: float = 1.0,
        machine_weight: float = 1.0,
    ):
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        check_rule(rule)
        checked = check_statistics(statistics)
        self._config = arguments | {"statistics": checked}
        self._terms = {"rule": rule, "eta": eta, "trusted_weight": trusted_weight, "machine_weight": machine_weight}
        self.horizon = horizon
        self.encoder = ObservationEncoder(
            statistics=checked,
            cameras=cameras,
            in_channels=in_channels,
            image_size=image_size,
            width=width,
            layers=layers,
            keypoints=keypoints,
            dim=dim,
        )
        self.actions = MinMax(statistics=checked, key="action")
        self.chunk = nn.Sequential(nn.Linear(horizon * (ACTION_DIM + 1), 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))
        self.surprise = nn.Linear(1, dim)
        self.judge = nn.Sequential(
            nn.Linear(self.encoder.out_dim + 2 * dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, 1)
        )

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this discriminator, statistics included."""
        return dict(self._config)

    def forward(self, batch: PolicyBatch, policy_loss: Tensor) -> Float[Tensor, " b"]:
        """Return the logit of every sample being trusted; `policy_loss` (B,) is taken as a number."""
        check_vectors(policy_loss=policy_loss, samples=batch.valid[:, 0])
        if batch.actions.shape[1] != self.horizon:
            raise InputError(
                f"got chunks of {batch.actions.shape[1]} actions, expected {self.horizon}: draw windows of that horizon"
            )
        valid = batch.valid[..., None].to(batch.actions.dtype)
        actions = torch.cat([self.actions.normalize(batch.actions) * valid, valid], dim=-1)  # (b, t, 8)
        surprise = policy_loss.detach().float().clamp(min=SMALLEST_LOSS).log()[:, None]
        parts = [self.encoder(batch.observation), self.chunk(actions.flatten(1)), self.surprise(surprise)]
        return self.judge(torch.cat(parts, dim=-1)).squeeze(-1)

    def loss(self, batch: TierBatch, policy_loss: Tensor) -> Float[Tensor, " b"]:
        """Return the loss of its rule per sample."""
        return discriminator_loss(self(batch.policy, policy_loss).float(), batch.trusted, **self._terms)


class JudgedPolicy(nn.Module):
    """A policy that learns from both tiers alike, and the discriminator that watches its loss: one module for one loop.

    The two share no parameter and no gradient, so each learns as if it were alone but for the clipping of the joint norm.
    """

    def __init__(self, *, policy: nn.Module, discriminator: Discriminator):
        super().__init__()
        self.policy, self.discriminator = policy, discriminator

    def loss(self, batch: TierBatch, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
        """Return the sum of the policy's and the discriminator's loss per sample."""
        surprise = self.policy.loss(batch.policy, generator)  # type: ignore[operator]
        return surprise + self.discriminator.loss(batch, surprise.detach())

    @torch.no_grad()
    def scores(self, batch: PolicyBatch, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
        """Return the probability of every sample being trusted."""
        return self.discriminator(batch, self.policy.loss(batch, generator)).float().sigmoid()  # type: ignore[operator]
