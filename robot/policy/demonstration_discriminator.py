"""Tell trusted demonstrations from machine ones, window by window: the weights of a policy's
demonstrations come from it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.batch import PolicyObservation, ScoredWindows, TierBatch
from robot.dwsl import check_rule, check_vectors, discriminator_loss, loss_feature
from robot.policy.geometry import PER_CAMERA, mask_geometry
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.policy.rebuildable import Rebuildable, keeps_arguments
from robot.types import InputError

SMALLEST_SPREAD = (
    0.05  # added to deviations: what hardly ever moves would turn sensor noise into evidence
)


class DemonstrationDiscriminator(Rebuildable):
    """Score (observation, action chunk, observation after it, loss of a policy on the chunk) (DWBC,
    Xu et al. 2022).

    Of the pictures it sees where the masks lie, not how they look: there are few demonstrations,
    each of a scene of its own, and whoever sees pixels learns the trusted scenes by heart and says
    nothing of others. What the chunk led to is the evidence of faults that no single moment shows:
    another object rises, a hand comes back empty. The policy's loss comes in as a number: no
    gradient goes back to the policy. `fit` it to the windows before it learns.
    """

    center: Tensor
    spread: Tensor

    @keeps_arguments
    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        cameras: int = 2,
        horizon: int = 16,
        dim: int = 64,
        dropout: float = 0.3,
        noise: float = 0.1,
        rule: str = "binary",
        eta: float = 0.5,
        trusted_weight: float = 1.0,
        machine_weight: float = 1.0,
    ):
        super().__init__()
        check_rule(rule)
        checked = check_statistics(statistics)
        self._terms = {
            "rule": rule,
            "eta": eta,
            "trusted_weight": trusted_weight,
            "machine_weight": machine_weight,
        }
        self.horizon, self.noise = horizon, noise
        self.proprio = MinMax(statistics=checked, key="proprio")
        self.actions = MinMax(statistics=checked, key="action")
        known = 2 * (cameras * PER_CAMERA + self.proprio.dim) + horizon * (self.actions.dim + 1)
        self.register_buffer("center", torch.zeros(known))
        self.register_buffer("spread", torch.ones(known))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout / 2),
            nn.Linear(known + 1, dim),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(dim, dim),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(dim, 1),
        )

    @torch.no_grad()
    def fit(self, windows: ScoredWindows) -> None:
        """Bring all that is known of a window to one scale, that of these: a few centimetres decide
        as much as a whole turn.
        """
        spread, center = torch.std_mean(self._known(windows), dim=0)
        self.center.copy_(center)
        self.spread.copy_(spread + SMALLEST_SPREAD)

    def forward(self, windows: ScoredWindows, policy_loss: Tensor) -> Float[Tensor, " b"]:
        """Return the logit of every sample being trusted; `policy_loss` (B,) is taken as
        a number.
        """
        batch = windows.policy
        check_vectors(policy_loss=policy_loss, samples=batch.valid[:, 0])
        if batch.actions.shape[1] != self.horizon:
            raise InputError(
                f"got chunks of {batch.actions.shape[1]} actions, expected {self.horizon}: draw "
                "windows of that horizon"
            )
        known = torch.cat(
            [(self._known(windows) - self.center) / self.spread, loss_feature(policy_loss)], dim=-1
        )
        if self.training:  # so that no window is known by its digits
            known = known + self.noise * torch.randn_like(known)
        return self.classifier(known).squeeze(-1)

    def _known(self, windows: ScoredWindows) -> Float[Tensor, "b k"]:
        """Return what a window shows before, during and after its actions; steps past the episode's
        end are 0.
        """
        batch = windows.policy
        valid = batch.valid[..., None].to(batch.actions.dtype)
        actions = torch.cat(
            [self.actions.normalize(batch.actions) * valid, valid], dim=-1
        )  # (b, t, a + 1)
        return torch.cat(
            [self._seen(batch.observation), self._seen(windows.after), actions.flatten(1)], dim=-1
        )

    def _seen(self, observation: PolicyObservation) -> Float[Tensor, "b o"]:
        return torch.cat(
            [mask_geometry(observation.images), self.proprio.normalize(observation.proprio)], dim=-1
        )

    def loss(self, batch: TierBatch, policy_loss: Tensor) -> Float[Tensor, " b"]:
        """Return the loss of its rule per sample."""
        return discriminator_loss(
            self(batch.windows, policy_loss).float(), batch.trusted, **self._terms
        )


class PolicyAndDiscriminator(nn.Module):
    """A policy that learns from both tiers alike, and the discriminator that watches its loss: one
    module for one loop.

    The two share no parameter and no gradient, so each learns as if it were alone but for the
    clipping of the joint norm.
    """

    def __init__(self, *, policy: nn.Module, discriminator: DemonstrationDiscriminator):
        super().__init__()
        self.policy, self.discriminator = policy, discriminator

    def loss(
        self, batch: TierBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the sum of the policy's and the discriminator's loss per sample."""
        surprise = self.policy.loss(batch.windows.policy, generator)  # type: ignore[operator]
        return surprise + self.discriminator.loss(batch, surprise.detach())

    @torch.no_grad()
    def scores(
        self, windows: ScoredWindows, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the probability of every sample being trusted."""
        surprise = self.policy.loss(windows.policy, generator)  # type: ignore[operator]
        return self.discriminator(windows, surprise).float().sigmoid()
