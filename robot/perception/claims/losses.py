"""What the claim network learns from: both tasks of one mixed batch.

Generate: answers to questions about regions, from one look. Correct: on a second look, whether a
claim is true, what its answer is where only the question is shown, and which pixels show what it
says. Claims to be judged are, besides true ones, those that the network itself would generate.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from robot.perception.claims.network import Claims
from robot.perception.claims.words import SPANS, TOPICS, WORDS
from robot.perception.regions.network import Regions

if TYPE_CHECKING:
    from robot.perception.claims.network import ClaimNetwork

UNKNOWN, ALWAYS = -1, -2  # of `fits`: not known whether, and whatever the word is
TRUE_SHARE, OWN_SHARE = 0.45, 0.35  # of the claims judged: true ones, the network's own mistakes
STARTS = torch.tensor([SPANS[topic][0] for topic in TOPICS])  # of topics: the answer NOTHING
SIZES = torch.tensor([SPANS[topic][1] - SPANS[topic][0] for topic in TOPICS])


@dataclass(frozen=True)
class ClaimBatch:
    """B frames, Q questions about them (frame, region, tail or -1, topic), and N of these asked
    again: `second` holds their inputs with the answer not shown, `of` which questions they are,
    `blank` which of them have their region blanked. `fits` says per question and object of its
    frame (M of each) the answer that would be true of it.
    """

    frames: Shaped[Tensor, "b 3 h w"]
    regions: Regions
    asked: Int[Tensor, "q 4"]
    words: Int[Tensor, "q l"]
    answers: Int[Tensor, " q"]
    second: Claims
    of: Int[Tensor, " n"]
    blank: Bool[Tensor, " n"]
    fits: Int[Tensor, "n m"]
    objects: Float[Tensor, "n m h2 w2"]

    def to(self, device: torch.device | str) -> Self:
        return type(self)(**{f.name: _moved(getattr(self, f.name), device) for f in fields(self)})


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return type(value)(**{f.name: _moved(getattr(value, f.name), device) for f in fields(value)})


def claim_loss(
    network: ClaimNetwork, batch: ClaimBatch, generator: torch.Generator | None
) -> Float[Tensor, " b"]:
    first = network.generate(batch.frames, batch.regions, batch.asked, batch.words)
    topics, truth = batch.second.topics, batch.answers[batch.of]
    said = _said(first[batch.of].detach(), truth, topics, generator)
    show = torch.rand(len(said), generator=generator) < 0.6
    show |= batch.blank
    words = batch.second.words.clone()
    words[:, 1] = torch.where(show, WORDS + said, words[:, 1])
    second = network.correct(replace(batch.second, words=words))
    true = (said == truth) & ~batch.blank
    judged = F.binary_cross_entropy_with_logits(second.truth, true.float(), reduction="none")
    answered = F.cross_entropy(second.answers, truth, reduction="none")
    drawn = _drawn(second.shown, said, batch)
    total = (
        F.cross_entropy(first, batch.answers)
        + _mean(judged, show)
        + _mean(answered, ~show)
        + _mean(drawn, show & ~batch.blank)
    )
    return total.expand(len(batch.frames))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _said(
    logits: Float[Tensor, "n a"],
    truth: Int[Tensor, " n"],
    topics: Int[Tensor, " n"],
    generator: torch.Generator | None,
) -> Int[Tensor, " n"]:
    """Return what each claim says: the truth, what the network would say instead, or any word; and
    never that there is nothing, which is no claim.
    """
    nothing = STARTS[topics]
    chances = logits.softmax(dim=1)
    chances = chances.scatter(1, truth[:, None], 0.0).scatter(1, nothing[:, None], 0.0)
    own = torch.multinomial(chances + 1e-9 * (logits > -1e3), 1, generator=generator)[:, 0]
    own = torch.where((own == truth) | (own == nothing), nothing + 1, own)
    count = SIZES[topics] - 1
    drawn = torch.rand(len(truth), generator=generator)
    anything = nothing + 1 + (drawn * count).long()
    kind = torch.rand(len(truth), generator=generator)
    false = torch.where(kind < TRUE_SHARE + OWN_SHARE, own, anything)
    return torch.where((kind < TRUE_SHARE) & (truth != nothing), truth, false)


def _drawn(
    logits: Float[Tensor, "n h w"], said: Int[Tensor, " n"], batch: ClaimBatch
) -> Float[Tensor, " n"]:
    """Cross-entropy and Dice of the pixels that show what a claim says."""
    fits = (batch.fits == said[:, None]) | (batch.fits == ALWAYS)
    doubtful = batch.fits == UNKNOWN
    target = (batch.objects * fits[..., None, None]).amax(dim=1)
    ignored = (batch.objects * doubtful[..., None, None]).amax(dim=1)
    counted = 1 - ignored * (1 - target)
    crossed = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
    drawn = logits.sigmoid() * counted
    shared = (drawn * target).sum(dim=(1, 2))
    dice = 1 - (2 * shared + 1) / (drawn.sum(dim=(1, 2)) + target.sum(dim=(1, 2)) + 1)
    return 4 * crossed.mean(dim=(1, 2)) + dice
