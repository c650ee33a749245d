"""Chunk regression: a transformer that answers with all actions at once (ACT, Zhao et al. 2023,
without its latent).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import PolicyBatch, PolicyObservation
from robot.policy.conditioning import ObservationEncoder
from robot.policy.config import DEFAULT_ENCODER, EncoderConfig
from robot.policy.denoiser import AdaptiveTransformer
from robot.policy.loss import chunk_loss
from robot.policy.normalize import MinMax, Statistics, check_statistics
from robot.policy.rebuildable import Rebuildable, keeps_arguments


class TransformerPolicy(Rebuildable):
    """One learned query per action, modulated by the observation.

    The L1 error has the median as its optimum: where demonstrations disagree about the gripper, the
    answer is what most of them did, open or closed, and not the dithering average between the two.
    """

    @keeps_arguments
    def __init__(
        self,
        *,
        statistics: Statistics | None = None,
        encoder: EncoderConfig | Mapping[str, Any] = DEFAULT_ENCODER,
        horizon: int = 16,
        depth: int = 4,
        heads: int = 4,
    ):
        super().__init__()
        checked, config = check_statistics(statistics), EncoderConfig.of(encoder)
        self.horizon = horizon
        self.encoder = ObservationEncoder(statistics=checked, config=config)
        self.actions = MinMax(statistics=checked, key="action")
        self.queries = nn.Parameter(0.5 * torch.randn(horizon, config.dim))
        self.condition = nn.Linear(self.encoder.out_dim, config.dim)
        self.transformer = AdaptiveTransformer(
            action_dim=self.actions.dim, dim=config.dim, depth=depth, heads=heads
        )

    def loss(
        self, batch: PolicyBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the L1 error of the normalised chunk per sample; nothing random is drawn from
        `generator`.
        """
        predicted = self._predict(batch.observation)
        return chunk_loss(
            F.l1_loss(predicted, self.actions.normalize(batch.actions), reduction="none"),
            batch.valid,
        )

    @torch.no_grad()
    def sample(
        self, observation: PolicyObservation, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b t a"]:
        """Return the chunk in physical units, inside the demonstrated range."""
        return self.actions.unnormalize(self._predict(observation).clamp(-1, 1))

    def _predict(self, observation: PolicyObservation) -> Float[Tensor, "b t a"]:
        condition = self.condition(self.encoder(observation))
        queries = self.queries.expand(len(condition), -1, -1)
        return self.transformer(queries, self.transformer.modulations(condition)).float()
