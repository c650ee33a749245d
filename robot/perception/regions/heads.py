"""Tokens of regions -> what is said of them: attributes of each, relations of two, yes or no to a
phrase. No region's answer depends on which others are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import LANGUAGE_DIM, LanguageTokens
from robot.language import MAX_TOKENS
from robot.perception.head.decoder import Attention, position_encoding
from robot.perception.head.encoders import LanguagePool
from robot.perception.regions.pool import BOX_NUMBERS

PAIR_NUMBERS = BOX_NUMBERS + 3


class ContextBlock(nn.Module):
    """Each region's token looks at the frame, then thinks."""

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.norm, self.again = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.look = Attention(dim=dim, heads=heads)
        self.think = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(
        self,
        tokens: Float[Tensor, "b r dim"],
        keys: Float[Tensor, "b k dim"],
        values: Float[Tensor, "b k dim"],
    ) -> Float[Tensor, "b r dim"]:
        tokens = tokens + self.look(self.norm(tokens), keys, values)
        return tokens + self.think(self.again(tokens))


class Context(nn.Module):
    """Coarse features as keys and values that the tokens look at: where, and under which light."""

    def __init__(self, *, widths: Sequence[int], dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.blocks = nn.ModuleList(ContextBlock(dim=dim, heads=heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, tokens: Float[Tensor, "b r dim"], coarse: Sequence[Float[Tensor, "b _ _ _"]]
    ) -> Float[Tensor, "b r dim"]:
        values, places = [], []
        for enter, features in zip(self.enter, coarse, strict=True):
            height, width = features.shape[-2:]
            values.append(enter(features.flatten(2).transpose(1, 2)))
            dim, x = values[-1].shape[-1], values[-1]
            places.append(position_encoding(height, width, dim, x.dtype, x.device))
        seen = torch.cat(values, dim=1)
        keys = seen + torch.cat(places)
        for block in self.blocks:
            tokens = block(tokens, keys, seen)
        return self.norm(tokens)


class AttributeHeads(nn.Module):
    """One linear classifier per kind of attribute."""

    def __init__(self, *, dim: int, counts: Mapping[str, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({kind: nn.Linear(dim, n) for kind, n in counts.items()})

    def forward(self, tokens: Float[Tensor, "b r dim"]) -> dict[str, Tensor]:
        return {kind: head(tokens) for kind, head in self.heads.items()}


class PairHead(nn.Module):
    """What region i is to region j: a logit per relation, and where i lies from j in metres
    (x towards the camera, y to its right, z up).
    """

    def __init__(self, *, dim: int, relations: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.numbers = nn.Linear(PAIR_NUMBERS, dim)
        self.think = nn.Linear(dim, dim)
        self.relations = nn.Linear(dim, relations)
        self.offset = nn.Linear(dim, 3)

    def forward(
        self, tokens: Float[Tensor, "b r dim"], boxes: Float[Tensor, "b r 8"]
    ) -> tuple[Float[Tensor, "b r r k"], Float[Tensor, "b r r 3"]]:
        hidden = self.first(tokens)[:, :, None] + self.second(tokens)[:, None]
        hidden = F.relu(hidden + self.numbers(pair_numbers(boxes)))
        hidden = F.relu(self.think(hidden))
        return self.relations(hidden), 0.1 * self.offset(hidden)


def pair_numbers(boxes: Float[Tensor, "b r 8"]) -> Float[Tensor, "b r r n"]:
    """Return how two boxes lie to each other: differences, and their overlap as shares of the
    first, the second and both.
    """
    one, other = boxes[:, :, None], boxes[:, None]
    lower = torch.maximum(one[..., :2], other[..., :2])
    upper = torch.minimum(one[..., 2:4], other[..., 2:4])
    shared = (upper - lower).clamp(min=0).prod(dim=-1)
    areas = [(b[..., 2:4] - b[..., :2]).clamp(min=1e-3).prod(dim=-1) for b in (one, other)]
    shares = [shared / areas[0], shared / areas[1], shared / (areas[0] + areas[1] - shared)]
    return torch.cat([4 * (one - other), torch.stack(shares, dim=-1)], dim=-1)


class PhraseHead(nn.Module):
    """Is it what the words say? A conjunction: every query reads its own part of the phrase (one
    the colour, one the thing) and has to agree.
    """

    def __init__(self, *, dim: int, word_dim: int, queries: int) -> None:
        super().__init__()
        self.queries = queries
        self.pool = LanguagePool(
            language_dim=LANGUAGE_DIM, dim=word_dim, queries=queries, max_tokens=MAX_TOKENS
        )
        self.ask = nn.ModuleList(
            nn.Sequential(nn.Linear(word_dim, word_dim), nn.GELU(), nn.Linear(word_dim, word_dim))
            for _ in range(queries)
        )
        self.answer = nn.Linear(dim, queries * word_dim)
        self.bias = nn.Parameter(torch.ones(queries))

    def read(self, phrases: LanguageTokens) -> Float[Tensor, "p q word_dim"]:
        """Return what each query has read of each phrase."""
        _, pooled = self.pool(phrases.tokens, phrases.valid)
        parts = pooled.unflatten(1, (self.queries, -1)).unbind(dim=1)
        return torch.stack([ask(part) for ask, part in zip(self.ask, parts, strict=True)], dim=1)

    def forward(
        self, tokens: Float[Tensor, "*n dim"], read: Float[Tensor, "*n q word_dim"]
    ) -> Float[Tensor, "*n"]:
        """Return the logarithm of the probability of yes, a phrase per token."""
        answers = self.answer(tokens).unflatten(-1, (self.queries, -1))
        scores = (answers * read).sum(dim=-1) * read.shape[-1] ** -0.5 + self.bias
        return F.logsigmoid(scores.float()).sum(dim=-1)


def phrase_loss(log_yes: Float[Tensor, " n"], truth: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the cross-entropy of yes and no."""
    log_no = torch.log1p(-log_yes.clamp(max=-1e-6).exp())
    return -torch.where(truth, log_yes, log_no)
