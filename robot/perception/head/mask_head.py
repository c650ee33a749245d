"""The small mask head: frame + words -> masks of target, destination and gripper, whether they are
there, how sure it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import LANGUAGE_DIM, LanguageTokens, MaskBatch
from robot.language import MAX_TOKENS
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.base import Head, MaskOutput, Words
from robot.perception.head.decoder import MaskDecoder
from robot.perception.head.encoders import Film, ImageEncoder, LanguagePool
from robot.perception.head.losses import coarse_loss, iou_loss, mask_loss
from robot.perception.names import check_head_sizes
from robot.system.device import pick_dtype
from robot.types import MASK_CHANNELS, InputError


@dataclass(frozen=True)
class Reading:
    """What B sentences mean to a head, whatever the frames show: constant while the goal is."""

    films: list[list[Film]]
    tokens: Float[Tensor, "looks t dim"]
    valid: Bool[Tensor, "looks t"] | None


@dataclass(frozen=True, eq=False)
class Ready:
    """A copy of a head to infer with, and what its weights were when it was made. The weights are
    listed once: walking all modules takes longer than looking at every weight.
    """

    watched: tuple[nn.Parameter, ...]
    state: tuple[object, ...]
    head: MaskHead


class MaskHead(Head):
    """IVM's mask decoder without its 7B language model: 1.5 million parameters, a few ms a frame on
    a CPU core.
    """

    def __init__(
        self,
        *,
        cameras: int = 1,
        widths: Sequence[int] = (48, 96, 128),
        blocks: Sequence[int] = (1, 2, 1),
        dim: int = 96,
        heads: int = 4,
        depth: int = 2,
        queries: int = 4,
        max_tokens: int = MAX_TOKENS,
        pixel_dim: int = 8,
        presence_weight: float = 0.2,
        iou_weight: float = 0.2,
        coarse_weight: float = 0.5,
    ) -> None:
        super().__init__()
        if cameras < 1:
            raise InputError(f"got cameras {cameras}, expected at least 1 camera per look")
        check_head_sizes(widths=widths, blocks=blocks, dim=dim, heads=heads)
        self.cameras = cameras
        self.presence_weight, self.iou_weight, self.coarse_weight = (
            presence_weight,
            iou_weight,
            coarse_weight,
        )
        self.pool = LanguagePool(
            language_dim=LANGUAGE_DIM, dim=dim, queries=queries, max_tokens=max_tokens
        )
        self.encoder = ImageEncoder(widths=widths, blocks=blocks, pooled_dim=queries * dim)
        self.decoder = MaskDecoder(
            cameras=cameras,
            widths=widths,
            dim=dim,
            heads=heads,
            depth=depth,
            masks=len(MASK_CHANNELS),
            pixel_dim=pixel_dim,
        )
        self.presence = nn.Linear(dim, 1)
        self.iou = nn.Linear(dim, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        self._ready: Ready | None = None
        self._last: tuple[MaskHead, LanguageTokens, Reading] | None = None

    def forward(self, frames: Shaped[Tensor, "b _ _ _"], language: LanguageTokens) -> MaskOutput:
        """Mask uint8 frames (B, 3, H, W), sides multiples of 16 (else InputError), for one sentence
        each.

        The `cameras` frames of one look lie side by side, always in the same order; B is a multiple
        of it.
        """
        if len(frames) % self.cameras:
            raise InputError(
                f"got {len(frames)} frames, expected a multiple of {self.cameras}, the cameras "
                "that this head looks through at "
                "once; pass the frames of all of them, in the order of its training"
            )
        return self.look(frames, self.read(language))

    def read(self, language: LanguageTokens) -> Reading:
        """Return what the sentences mean."""
        # padding costs as much as words: most sentences fill a third of it
        length = int(language.valid.any(dim=0).sum())
        valid = language.valid[:, :length]
        words, pooled = self.pool(language.tokens[:, :length].to(self.presence.weight.dtype), valid)
        tokens, known = self.decoder.read(words, valid)
        return Reading(films=self.encoder.read(pooled), tokens=tokens, valid=known)

    def look(self, frames: Shaped[Tensor, "b _ _ _"], reading: Reading) -> MaskOutput:
        """Mask frames for the sentences that were read."""
        pyramid = self.encoder(frames, reading.films)
        logits, coarse_logits, tokens = self.decoder(pyramid, reading.tokens, reading.valid)
        return MaskOutput(
            logits=logits.float(),
            coarse_logits=coarse_logits.float(),
            presence_logits=self.presence(tokens[:, :2]).squeeze(-1).float(),
            predicted_iou=self.iou(tokens[:, 0]).squeeze(-1).float().sigmoid(),
        )

    def infer(self, frames: Shaped[Tensor, "b _ _ _"], words: Words) -> MaskOutput:
        """Look with weights that are bfloat16 already where that pays, and with the last sentence
        remembered.
        """
        assert isinstance(words, LanguageTokens)
        ready = self._in_dtype(pick_dtype("auto", self.device))
        if self._last is None or self._last[0] is not ready or not _same(self._last[1], words):
            self._last = (ready, words, ready.read(words))
        return ready.look(frames, self._last[2])

    def _in_dtype(self, dtype: torch.dtype) -> MaskHead:
        """Return a copy with weights of `dtype`, made anew whenever a weight has changed since."""
        if self._ready is None or self._ready.state != _state(self._ready.watched, dtype):
            bare = copy.copy(self)
            bare.__dict__["_ready"] = bare.__dict__["_last"] = None
            copied = copy.deepcopy(bare).eval().requires_grad_(False).to(dtype)
            watched = tuple(self.parameters())
            self.__dict__["_ready"] = Ready(watched, _state(watched, dtype), copied)
        assert self._ready is not None
        return self._ready.head

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Load weights; with `assign=True` these are other parameters than those watched."""
        self.__dict__["_ready"] = None
        return super().load_state_dict(*given, **options)

    def loss_of(self, output: MaskOutput, batch: MaskBatch) -> Float[Tensor, " b"]:
        """Masks at both resolutions, presence and predicted IoU, weighted."""
        truth = mask_from_labels(batch.labels)
        presence = F.binary_cross_entropy_with_logits(
            output.presence_logits, batch.presence, reduction="none"
        ).mean(dim=1)
        iou = iou_loss(output.predicted_iou, output.logits[:, 0], truth[:, 0])
        coarse = coarse_loss(output.coarse_logits, truth)
        return (
            mask_loss(output.logits, truth)
            + self.coarse_weight * coarse
            + self.presence_weight * presence
            + self.iou_weight * iou
        )


def _state(weights: Sequence[nn.Parameter], dtype: torch.dtype) -> tuple[object, ...]:
    """Return what changes whenever a weight does, or the precision."""
    return (dtype, *((weight.data_ptr(), weight._version) for weight in weights))


def _same(one: LanguageTokens, other: LanguageTokens) -> bool:
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.valid, other.valid)
