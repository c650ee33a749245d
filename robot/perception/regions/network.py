"""The small network that reads regions: frames and regions -> everything that is said of them.

network.look(frames)          -> Seen: the pyramid, encoded once for any number of regions
network.read(seen, regions)   -> Reading: attributes, relations, tokens
network.draw(seen, boxes)     -> mask logits in each box
network.propose(seen)         -> what is where, without being asked
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from robot.perception.regions.heads import AttributeHeads, Context, PairHead, PhraseHead
from robot.perception.regions.masks import DENSE, FINE, BoxMask, Proposals, Propose
from robot.perception.regions.pool import BoxToken, MaskToken, box_numbers, is_visible
from robot.perception.regions.pyramid import Fusion, Pyramid
from robot.perception.regions.sizes import STRIDES, ReaderSizes
from robot.perception.regions.vocabulary import ATTRIBUTES, vocabulary


@dataclass(frozen=True)
class Regions:
    """R regions of each of B frames, in pixels. Where `has_mask` is False a region is its box;
    `valid` is False on padding.
    """

    boxes: Float[Tensor, "b r 4"]
    masks: Float[Tensor, "b r h w"]
    has_mask: Bool[Tensor, "b r"]
    valid: Bool[Tensor, "b r"]


@dataclass(frozen=True)
class Seen:
    """B frames, encoded."""

    pyramid: list[Tensor]
    fused: list[Tensor]
    height: int
    width: int


@dataclass(frozen=True)
class Reading:
    """What is said of R regions: logits by kind of attribute, logits of every relation of region i
    to region j, where i lies from j [m], and the tokens that phrases are compared with.
    """

    attributes: Mapping[str, Float[Tensor, "b r _"]]
    relations: Float[Tensor, "b r r k"]
    offsets: Float[Tensor, "b r r 3"]
    tokens: Float[Tensor, "b r dim"]
    visible: Bool[Tensor, "b r"]


class RegionNetwork(nn.Module):
    """1.1 million parameters; a few ms a frame on a CPU core, whatever the number of regions."""

    def __init__(self, sizes: ReaderSizes | None = None) -> None:
        super().__init__()
        known, sizes = vocabulary(), sizes or ReaderSizes()
        widths, channels, dim = sizes.widths, sizes.channels, sizes.dim
        self.levels = levels = tuple(STRIDES.index(stride) for stride in sizes.strides)
        self.pyramid = Pyramid(widths=widths, blocks=sizes.blocks)
        self.fusion = Fusion(widths=widths, channels=channels)
        self.box_token = BoxToken(channels=channels, strides=sizes.strides, dim=dim)
        self.mask_token = MaskToken(
            widths=[widths[k] for k in levels], strides=sizes.strides, dim=dim
        )
        self.context = Context(widths=widths[2:], dim=dim, heads=sizes.heads, depth=sizes.depth)
        self.attributes = AttributeHeads(
            dim=dim, counts={kind: len(known.words(kind)) for kind in ATTRIBUTES}
        )
        self.pairs = PairHead(dim=dim, relations=len(known.relations))
        self.phrases = PhraseHead(dim=dim, word_dim=sizes.word_dim, queries=sizes.queries)
        self.box_mask = BoxMask(channels=channels)
        self.proposing = Propose(channels=channels, surfaces=1 + len(known.scene_names))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def look(self, frames: Shaped[Tensor, "b 3 h w"]) -> Seen:
        """Encode frames (uint8, sides multiples of 16)."""
        pyramid = self.pyramid(frames)
        height, width = frames.shape[-2:]
        return Seen(pyramid=pyramid, fused=self.fusion(pyramid), height=height, width=width)

    def read(self, seen: Seen, regions: Regions) -> Reading:
        """Return what is said of the regions of encoded frames."""
        tokens = self.box_token(
            [seen.fused[k] for k in self.levels],
            regions.boxes,
            height=seen.height,
            width=seen.width,
        )
        masked = self.mask_token(
            [seen.pyramid[k] for k in self.levels], regions.masks, regions.boxes
        )
        tokens = tokens + masked * regions.has_mask[..., None]
        tokens = self.context(tokens, seen.pyramid[2:])
        numbers = box_numbers(regions.boxes, height=seen.height, width=seen.width)
        relations, offsets = self.pairs(tokens, numbers)
        return Reading(
            attributes=self.attributes(tokens),
            relations=relations,
            offsets=offsets,
            tokens=tokens,
            visible=is_visible(regions.masks) | ~regions.has_mask,
        )

    def draw(self, seen: Seen, boxes: Float[Tensor, "b r 4"]) -> Float[Tensor, "b r n n"]:
        """Return mask logits in every box (robot.perception.regions.masks.paste)."""
        return self.box_mask(seen.fused[FINE], boxes)

    def propose(self, seen: Seen) -> Proposals:
        return self.proposing(seen.fused[DENSE])

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
        """Per-sample loss of a robot.train.region_reader.RegionBatch."""
        from robot.perception.regions.losses import region_loss

        del generator
        return region_loss(self, batch)
