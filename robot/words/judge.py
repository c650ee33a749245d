"""The judge of requests: does a text that the grammar does not read ask for an object it names?

    asked_for(open_candidates(text, understand(text)))  # Thing(noun="cup", colour="red"), or None

A small network reads passages in which the object is "the red cup" and every other "the blue box"
(`candidates.py`), as two layers of the frozen MiniLM see their words: the third, which knows more
of grammar, and the last, which knows more of meaning. `tools/train_request_judge.py` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robot.batch import LANGUAGE_DIM
from robot.checkpoint import load
from robot.language import WordStates, load_minilm_states
from robot.words.candidates import Candidate, Passage, Role
from robot.words.items import Thing

KIND, FILE = "request_judge", Path(__file__).with_name("request_judge.safetensors")
LAYERS = (3, 6)  # of MiniLM's six
ASKED_ABOVE = 0.8  # the probability of the object that is taken
OTHERS_BELOW = 0.5  # and of every other that the text names


class PassageReader(nn.Module):
    """The words of a passage -> the logit of "this asks for the candidate"."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Linear(len(LAYERS) * LANGUAGE_DIM, dim)
        self.roles = nn.Embedding(len(Role), dim)
        self.mix = nn.TransformerEncoderLayer(
            dim, heads, 2 * dim, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.weigh = nn.Linear(dim, 1)
        self.answer = nn.Sequential(
            nn.LayerNorm(3 * dim),
            nn.Dropout(dropout),
            nn.Linear(3 * dim, dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(dim, 1),
        )
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        states: Float[Tensor, "b t 768"],
        roles: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
    ) -> Float[Tensor, " b"]:
        """Return a logit per passage, from what its words weigh, their peaks and its mentions."""
        mixed = self.mix(
            self.words(self.drop(states)) + self.roles(roles), src_key_padding_mask=~valid
        )
        weights = self.weigh(mixed).masked_fill(~valid[..., None], -torch.inf).softmax(dim=1)
        peaks = mixed.masked_fill(~valid[..., None], -torch.inf).amax(dim=1)
        mention = (roles == Role.CANDIDATE)[..., None].to(mixed.dtype)
        mentioned = (mention * mixed).sum(dim=1) / mention.sum(dim=1).clamp(min=1)
        pooled = torch.cat([(weights * mixed).sum(dim=1), peaks, mentioned], dim=1)
        return self.answer(pooled).squeeze(1)


class RequestJudge(nn.Module):
    """Several readers of one training that began differently; their mean logit."""

    def __init__(
        self, *, readers: int = 3, dim: int = 48, heads: int = 4, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.readers = nn.ModuleList(
            PassageReader(dim=dim, heads=heads, dropout=dropout) for _ in range(readers)
        )

    def forward(
        self,
        states: Float[Tensor, "b t 768"],
        roles: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
    ) -> Float[Tensor, " b"]:
        """Return the mean logit per passage."""
        return torch.stack([reader(states, roles, valid) for reader in self.readers]).mean(dim=0)


def embedded(passages: Sequence[Passage], states: WordStates) -> list[tuple[Tensor, Tensor]]:
    """Return the states (t, 768) and roles (t) of the tokens of every passage."""
    split = [[(word, role) for text, role in p for word in text.split()] for p in passages]
    found = []
    for words, (tokens, of_word) in zip(
        split, states([[word for word, _ in words] for words in split]), strict=True
    ):
        roles = [words[k][1] if k >= 0 else Role.WORDS for k in of_word]
        found.append((tokens, torch.tensor(roles)))
    return found


def padded(
    passages: Sequence[tuple[Tensor, Tensor]],
) -> tuple[Float[Tensor, "b t 768"], Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Return what a reader takes: states, roles, and where there is a token."""
    states = nn.utils.rnn.pad_sequence([s.float() for s, _ in passages], batch_first=True)
    roles = nn.utils.rnn.pad_sequence([r for _, r in passages], batch_first=True)
    lengths = torch.tensor([len(r) for _, r in passages])
    return states, roles, torch.arange(roles.shape[1])[None] < lengths[:, None]


def decided(candidates: Sequence[Candidate], probabilities: Sequence[float]) -> Thing | None:
    """Return the one object that is asked for; None where it is not sure, or there are two."""
    best = max(range(len(candidates)), key=lambda k: probabilities[k])
    others = [p for k, p in enumerate(probabilities) if k != best]
    sure = probabilities[best] > ASKED_ABOVE and all(p < OTHERS_BELOW for p in others)
    return candidates[best].thing if sure else None


def asked_for(candidates: Sequence[Candidate]) -> Thing | None:
    """Return which of the objects that a text names it asks for; None for none of them."""
    return decided(candidates, probabilities_of(candidates)) if candidates else None


@torch.inference_mode()
def probabilities_of(candidates: Sequence[Candidate]) -> list[float]:
    """Return how likely each is asked for: what the passage says that asks for it most clearly."""
    judge, states = _shipped()
    passages = [passage for one in candidates for passage in one.passages]
    asked = iter(torch.sigmoid(judge(*padded(embedded(passages, states)))).tolist())
    return [max(next(asked) for _ in one.passages) for one in candidates]


@cache
def _shipped() -> tuple[RequestJudge, WordStates]:
    judge = load(FILE, {KIND: RequestJudge})
    assert isinstance(judge, RequestJudge)
    return judge.eval().requires_grad_(False), load_minilm_states(layers=LAYERS)
