"""SAM's features and LLaVA's condition -> the decoder -> a heat map of what the
instruction needs.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from robot.batch import MaskBatch, Sentences
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.base import Head, MaskOutput
from robot.perception.head.losses import mask_loss
from robot.perception.ivm.decoder import HeatmapDecoder
from robot.perception.ivm.frozen import share_frozen_when_copied, skip_frozen_when_saved
from robot.perception.ivm.llava_condition import LlavaCondition
from robot.perception.ivm.sam_encoder import SamImageEncoder
from robot.types import MASK_CHANNELS, InputError

NEVER = -30.0  # logit of a channel that the model does not draw


class IVM(Head):
    """The published model behind the interface of every mask head, but that it reads raw sentences.

    With one mask (the paper's) the heat map covers what the sentence names, target and destination
    alike, and travels in the target's channel; whether the target is there is read off its maximum,
    which `calibrate` turns into a probability. Three masks draw target, destination and gripper
    apart, for one token and one hypernetwork more each.
    """

    reads_sentences = True
    looks_at_once = 8

    def __init__(
        self, *, image_encoder: SamImageEncoder, condition: LlavaCondition, decoder: HeatmapDecoder
    ) -> None:
        super().__init__()
        if len(decoder.mask_tokens) not in (1, len(MASK_CHANNELS)):
            raise InputError(
                f"got {len(decoder.mask_tokens)} masks, expected 1 (one heat map) or "
                f"{len(MASK_CHANNELS)} (target, "
                "destination, gripper); set mask_head.masks"
            )
        self.image_encoder, self.condition, self.decoder = image_encoder, condition, decoder
        skip_frozen_when_saved(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> IVM:
        return share_frozen_when_copied(self, memo)

    def forward(self, frames: Shaped[Tensor, "b _ _ _"], language: Sentences) -> MaskOutput:
        """Mask uint8 frames (B, 3, H, W) of any size for one sentence each."""
        drawn = self.decoder(self.image_encoder(frames), self.condition(frames, language)).float()
        coarse = _in_channels(drawn)
        logits = F.interpolate(coarse, frames.shape[-2:], mode="bilinear", align_corners=False)
        highest = drawn.amax(dim=(2, 3))  # b masks
        return MaskOutput(
            logits=logits,
            coarse_logits=coarse,
            presence_logits=highest[:, :2] if drawn.shape[1] > 1 else highest.expand(-1, 2),
            predicted_iou=expected_iou(logits[:, 0].sigmoid()),
        )

    def loss_of(self, output: MaskOutput, batch: MaskBatch) -> Float[Tensor, " b"]:
        """BCE + Dice, 1:1."""
        logits, truth = output.logits, mask_from_labels(batch.labels)
        if len(self.decoder.mask_tokens) == 1:  # what the sentence names: target and destination
            logits, truth = logits[:, :1], truth[:, :2].amax(dim=1, keepdim=True)
        return mask_loss(logits, truth)


def _in_channels(drawn: Float[Tensor, "b m h w"]) -> Float[Tensor, "b 3 h w"]:
    """Put what was drawn into the order of MASK_CHANNELS; channels that were not drawn get
    probability 0.
    """
    missing = len(MASK_CHANNELS) - drawn.shape[1]
    return F.pad(drawn, (0, 0, 0, 0, 0, missing), value=NEVER)


def expected_iou(
    probability: Float[Tensor, "b h w"], *, threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Return the IoU of the thresholded mask that its own probabilities lead to expect (soft IoU);
    0 where nothing is kept.
    """
    kept = (probability > threshold).to(probability.dtype)
    overlap, union = (
        (kept * probability).sum(dim=(1, 2)),
        torch.maximum(kept, probability).sum(dim=(1, 2)),
    )
    return overlap / union.clamp(min=1e-6)
