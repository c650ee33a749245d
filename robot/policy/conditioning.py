"""What the policy knows when it acts, as one vector: goal, composites and proprioception."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.batch import LANGUAGE_DIM, LanguageTokens, PolicyObservation
from robot.policy.config import EncoderConfig
from robot.policy.normalize import MinMax, Statistics
from robot.policy.vision import VisionEncoder


class LanguagePool(nn.Module):
    """Pool token embeddings into one goal vector; each of `heads` learns which tokens its share of
    the vector comes from.
    """

    def __init__(self, *, dim: int, heads: int = 4):
        super().__init__()
        self.score = nn.Linear(LANGUAGE_DIM, heads)
        self.value = nn.Linear(LANGUAGE_DIM, dim)

    def forward(self, language: LanguageTokens) -> Float[Tensor, "b d"]:
        score = self.score(language.tokens).float()  # (b, l, heads)
        score = score.masked_fill(
            ~language.valid[..., None], torch.finfo(score.dtype).min
        )  # finite: an empty goal is no NaN
        value = self.value(language.tokens).unflatten(
            -1, (score.shape[-1], -1)
        )  # (b, l, heads, d / heads)
        return torch.einsum("blh,blhd->bhd", score.softmax(1), value.float()).flatten(1)


class ObservationEncoder(nn.Module):
    """Encode an observation (physical units) into one context vector (b, out_dim), once for all
    denoising steps.
    """

    def __init__(self, *, statistics: Statistics, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.proprio = MinMax(statistics=statistics, key="proprio")
        self.language = LanguagePool(dim=config.dim)
        self.vision = VisionEncoder(config)
        self.out_dim = 2 * config.dim
        self.mix = nn.Sequential(
            nn.Linear(self.vision.out_dim + config.dim + self.proprio.dim, self.out_dim),
            nn.SiLU(),
            nn.Linear(self.out_dim, self.out_dim),
        )

    def forward(self, observation: PolicyObservation) -> Float[Tensor, "b c"]:
        goal = self.language(observation.language)
        vision = self.vision(observation.images, goal)
        proprio = self.proprio.normalize(observation.proprio)
        return self.mix(torch.cat([vision, goal, proprio], dim=-1))
