"""The small mask head: frame + words -> masks of target, destination and gripper, whether they are
there, how sure it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import LANGUAGE_DIM, LanguageTokens, MaskBatch
from robot.language import MAX_TOKENS
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.decoder import MaskDecoder
from robot.perception.head.encoders import ImageEncoder, LanguagePool
from robot.perception.head.losses import coarse_loss, iou_loss, mask_loss
from robot.spaces import Camera
from robot.types import MASK_CHANNELS, InputError


@dataclass(frozen=True)
class MaskOutput:
    """What the head says about B frames: logits per pixel of (target, destination, gripper), logits
    of presence (target, destination), uncalibrated, and the IoU in [0, 1] that it expects of its
    own target mask.
    """

    logits: Float[Tensor, "b 3 h w"]
    coarse_logits: Float[Tensor, "b 3 h8 w8"]
    presence_logits: Float[Tensor, "b 2"]
    predicted_iou: Float[Tensor, " b"]


class Head(nn.Module):
    """What every mask head is: `head(frames, language) -> MaskOutput`, `loss(batch) -> (B,)`,
    calibrated presence.
    """

    presence_temperature: Tensor
    presence_bias: Tensor
    reads_sentences = False  # True: `language` are Sentences; False: LanguageTokens
    cameras = 1  # looked through at once
    trained_cameras: tuple[Camera, ...] = ()  # of a checkpoint; empty: frames are taken as they are
    looks_at_once = 32  # that one call without gradients should be asked about: bounds memory

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            "presence_temperature", torch.ones(2)
        )  # set by robot.train.mask_head.calibrate_head
        self.register_buffer("presence_bias", torch.zeros(2))

    @property
    def frames_at_once(self) -> int:
        return self.looks_at_once * self.cameras

    def presence_probability(self, presence_logits: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Apply the stored calibration: sigmoid(logit / temperature + bias)."""
        return torch.sigmoid(presence_logits / self.presence_temperature + self.presence_bias)


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
        if len(widths) != 3 or len(blocks) != 3 or dim % heads or dim % 4:
            raise InputError(
                f"got widths {list(widths)}, blocks {list(blocks)}, dim {dim}, heads {heads}, "
                "expected three widths and three "
                "block counts (scales 1/4, 1/8, 1/16) and a dim that 4 and the heads divide"
            )
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
        length = int(
            language.valid.any(dim=0).sum()
        )  # padding costs as much as words: most sentences fill a third of it
        tokens, valid = (
            language.tokens[:, :length].to(self.presence.weight.dtype),
            language.valid[:, :length],
        )
        words, pooled = self.pool(tokens, valid)
        pyramid = self.encoder(frames, pooled)
        logits, coarse_logits, tokens = self.decoder(pyramid, words, valid)
        target_and_destination = tokens[:, :2]
        return MaskOutput(
            logits=logits.float(),
            coarse_logits=coarse_logits.float(),
            presence_logits=self.presence(target_and_destination).squeeze(-1).float(),
            predicted_iou=self.iou(tokens[:, 0]).squeeze(-1).float().sigmoid(),
        )

    def loss(
        self, batch: MaskBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Per-sample loss; `generator` is part of every module's signature here and unused."""
        del generator
        assert isinstance(batch.language, LanguageTokens)
        output = self(batch.frames, batch.language)
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
