"""One small network that generates claims and corrects them, on the region reader's encoder.

network.generate(frames, regions, asked, goals)  -> logits of answers: one look, many questions
network.correct(claims)                          -> Second: the frame encoded again, for one claim

On a second look the coarser levels of the encoder are steered by the claim's words, by those
accepted of the same region and by the goal's; masks of the relation's tail and of all that is
accepted are planes beside what they read; and the region is looked at once more, cut out at a finer
scale. The finest levels are the region reader's as they are, encoded once for all claims.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.claims.words import ANSWERS, SPANS, TOKENS, TOPICS
from robot.perception.regions.heads import PAIR_NUMBERS, pair_numbers
from robot.perception.regions.network import RegionNetwork, Regions
from robot.perception.regions.pool import box_numbers, mask_pool
from robot.perception.regions.pyramid import Steer
from robot.perception.regions.sizes import STRIDES, ReaderSizes
from robot.system.parse import parse

PLANES = 3  # the region itself (in the cut-out alone), the relation's tail, what is accepted
CUT = 64  # pixels of a cut-out's side
LONGEST = 24  # words of a claim with all that belongs to it
FIXED = 2  # levels, from the finest, that are the reader's own
NEVER = -1e4  # logit of an answer of another topic


@dataclass(frozen=True)
class Claims:
    """N claims about M frames, `of` says which, for a second look. `words` are padded with 0."""

    frames: Shaped[Tensor, "m 3 h w"]
    of: Int[Tensor, " n"]
    cuts: Shaped[Tensor, "n 3 c c"]
    cut_masks: Float[Tensor, "n c c"]
    regions: Regions  # two of each: the region, and the tail (valid is False without one)
    accepted: Float[Tensor, "n h w"]
    words: Int[Tensor, "n l"]
    topics: Int[Tensor, " n"]


@dataclass(frozen=True)
class Second:
    """What a second look says of N claims: a logit of truth, one of every answer to the topic's
    question, and of every cell (stride 2) whether it shows what the words say.
    """

    truth: Float[Tensor, " n"]
    answers: Float[Tensor, "n a"]
    shown: Float[Tensor, "n h w"]


class Words(nn.Module):
    """A claim's words -> one vector: a layer of self-attention, then the mean."""

    def __init__(self, *, dim: int, out: int) -> None:
        super().__init__()
        self.words = nn.Embedding(TOKENS, dim, padding_idx=0)
        self.places = nn.Parameter(0.02 * torch.randn(LONGEST, dim))
        self.layer = nn.TransformerEncoderLayer(
            dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True
        )
        self.out = nn.Linear(dim, out)

    def forward(self, words: Int[Tensor, "n l"]) -> Float[Tensor, "n out"]:
        valid = words != 0
        x = self.words(words) + self.places[: words.shape[1]]
        x = self.layer(x, src_key_padding_mask=~valid)
        weights = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
        return self.out((x * weights[..., None]).sum(dim=1))


class ClaimNetwork(nn.Module):
    """1.7 million parameters."""

    def __init__(self, *, reader: dict[str, Any], word_dim: int = 64, hidden: int = 192) -> None:
        super().__init__()
        sizes = parse(ReaderSizes, reader | {"strides": STRIDES[1:]})
        self.eyes = RegionNetwork(sizes)
        widths, dim, channels = sizes.widths, sizes.dim, sizes.channels
        self.words = Words(dim=word_dim, out=dim)
        film = [nn.Linear(dim, 2 * width) for width in widths[FIXED:]]
        self.film = nn.ModuleList(film)
        self.planes = nn.Conv2d(PLANES, widths[FIXED], 3, padding=1)
        for layer in (*film, self.planes):
            assert layer.bias is not None
            nn.init.zeros_(layer.weight)  # a second look begins as the first
            nn.init.zeros_(layer.bias)
        self.cut = nn.Linear(2 * sum(widths[1:]), dim)
        self.no_cut = nn.Parameter(torch.zeros(dim))
        self.no_tail = nn.Parameter(torch.zeros(dim))
        self.think = nn.Sequential(
            nn.Linear(4 * dim + PAIR_NUMBERS, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.answer = nn.Linear(hidden, ANSWERS)
        self.truth = nn.Linear(hidden, 1)
        self.show = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 4, 1),
            nn.PixelShuffle(2),  # the four quarters of each cell
        )
        allowed = torch.zeros(len(TOPICS), ANSWERS, dtype=torch.bool)
        for k, topic in enumerate(TOPICS):
            start, stop = SPANS[topic]
            allowed[k, start:stop] = True
        self.register_buffer("allowed", allowed, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def begin_with(self, reader: RegionNetwork) -> None:
        """Take over a region reader's encoder, but for what its tokens read at the finest level."""
        state = reader.state_dict()
        kept = {}
        for name, value in state.items():
            if match := re.match(r"mask_token\.levels\.(\d+)\.(.*)", name):
                if match[1] == "0":
                    continue
                name = f"mask_token.levels.{int(match[1]) - 1}.{match[2]}"
            kept[name] = value
        self.eyes.load_state_dict(kept)

    def generate(
        self,
        frames: Shaped[Tensor, "b 3 h w"],
        regions: Regions,
        asked: Int[Tensor, "q 4"],
        words: Int[Tensor, "q l"],
    ) -> Float[Tensor, "q a"]:
        """Answer questions (frame, region, tail or -1, topic) about B frames from one look."""
        levels = self.eyes.pyramid.go_on(self._begin(frames))[1:]
        tokens = self._tokens(levels, self.eyes.fusion(levels), regions)
        of, about, tail, topics = asked.unbind(dim=1)
        has_tail = tail >= 0
        tail = torch.where(has_tail, tail, about)
        boxes = torch.stack([regions.boxes[of, about], regions.boxes[of, tail]], dim=1)
        hidden = self._hidden(
            tokens[of, about],
            torch.where(has_tail[:, None], tokens[of, tail], self.no_tail.to(tokens.dtype)),
            self.no_cut.expand(len(asked), -1).to(tokens.dtype),
            self.words(words),
            boxes,
            size=frames.shape[-2:],
        )
        return self._answers(hidden, topics)

    def correct(self, claims: Claims) -> Second:
        """Look at every claim's frame again."""
        text = self.words(claims.words)
        nothing = torch.zeros_like(claims.accepted)
        tail_mask = claims.regions.masks[:, 1]
        planes = torch.stack([nothing, tail_mask, claims.accepted], dim=1)
        begun = [level[claims.of] for level in self._begin(claims.frames)]
        levels = self.eyes.pyramid.go_on(begun, self._steer(text, planes))[1:]
        fused = self.eyes.fusion(levels)
        tokens = self._tokens(levels, fused, claims.regions)
        has_tail = claims.regions.valid[:, 1]
        hidden = self._hidden(
            tokens[:, 0],
            torch.where(has_tail[:, None], tokens[:, 1], self.no_tail.to(tokens.dtype)),
            self._cut_token(claims, text),
            text,
            claims.regions.boxes,
            size=claims.frames.shape[-2:],
        )
        return Second(
            truth=self.truth(hidden)[:, 0].float(),
            answers=self._answers(hidden, claims.topics),
            shown=self.show(fused[0])[:, 0].float(),
        )

    @torch.no_grad()
    def _begin(self, frames: Tensor) -> list[Tensor]:
        return self.eyes.pyramid.begin(frames, levels=FIXED)

    def _steer(self, text: Tensor, planes: Float[Tensor, "n p h w"]) -> Steer:
        extra = self.planes(F.avg_pool2d(planes, STRIDES[FIXED]))

        def steer(level: int, x: Tensor) -> Tensor:
            scale, shift = self.film[level - FIXED](text)[..., None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
            return x + extra if level == FIXED else x

        return steer

    def _tokens(
        self, levels: Sequence[Tensor], fused: Sequence[Tensor], regions: Regions
    ) -> Float[Tensor, "b r dim"]:
        """Return a token per region, as the region reader does, from all but the finest level."""
        height, width = regions.masks.shape[-2:]
        eyes = self.eyes
        tokens = eyes.box_token(fused, regions.boxes, height=height, width=width)
        masked = eyes.mask_token(levels, regions.masks, regions.boxes)
        return eyes.context(tokens + masked * regions.has_mask[..., None], levels[-2:])

    def _cut_token(self, claims: Claims, text: Tensor) -> Float[Tensor, "n dim"]:
        """Return what the cut-out shows, under the mask and as a whole."""
        mask = claims.cut_masks[:, None]
        planes = torch.cat([mask, torch.zeros_like(mask), torch.zeros_like(mask)], dim=1)
        levels = self.eyes.pyramid.go_on(self._begin(claims.cuts), self._steer(text, planes))[1:]
        under = [
            mask_pool(level, mask, stride=stride)[:, 0]
            for level, stride in zip(levels, STRIDES[1:], strict=True)
        ]
        whole = [level.mean(dim=(2, 3)) for level in levels]
        return self.cut(torch.cat([*under, *whole], dim=1))

    def _hidden(
        self,
        about: Tensor,
        tail: Tensor,
        cut: Tensor,
        text: Tensor,
        boxes: Float[Tensor, "n 2 4"],
        *,
        size: Sequence[int],
    ) -> Tensor:
        numbers = pair_numbers(box_numbers(boxes, height=size[0], width=size[1]))[:, 0, 1]
        parts = (about, tail, cut, text, numbers)
        return self.think(torch.cat([part.to(about.dtype) for part in parts], dim=1))

    def _answers(self, hidden: Tensor, topics: Int[Tensor, " n"]) -> Float[Tensor, "n a"]:
        allowed = self.allowed
        assert isinstance(allowed, Tensor)
        return self.answer(hidden).float().masked_fill(~allowed[topics], NEVER)

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
        """Per-frame loss of a robot.train.claims.ClaimBatch."""
        from robot.perception.claims.losses import claim_loss

        return claim_loss(self, batch, generator)


def erased(
    images: Shaped[Tensor, "n 3 h w"], masks: Bool[Tensor, "n h w"]
) -> Shaped[Tensor, "n 3 h w"]:
    """Blank a region: the mean colour of what is around it in place of what it shows."""
    cover = masks[:, None].float()
    ring = F.max_pool2d(cover, 9, stride=1, padding=4) - cover
    wide = F.max_pool2d(cover, 3, stride=1, padding=1)
    ring = torch.where(ring.flatten(1).sum(dim=1)[:, None, None, None] > 0, ring, 1 - cover)
    colours = images.float()
    total = ring.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (colours * ring).sum(dim=(2, 3), keepdim=True) / total
    return (colours * (1 - wide) + mean * wide).round().to(images.dtype)
