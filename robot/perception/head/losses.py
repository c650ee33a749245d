"""Losses of the mask head: one number per sample, so that DWSL can weight samples outside."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_SMOOTH = 1.0  # pixels: keeps Dice defined, and its gradient bounded on objects of a few pixels


def dice_loss(
    logits: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c"]:
    """Return 1 - Dice per channel; 0 where the true channel is empty, for which BCE alone
    speaks.
    """
    probability = logits.sigmoid()
    overlap = (probability * truth).sum(dim=(2, 3))
    area = truth.sum(dim=(2, 3))
    dice = (2 * overlap + _SMOOTH) / (probability.sum(dim=(2, 3)) + area + _SMOOTH)
    return torch.where(area > 0, 1 - dice, 0.0)


def mask_loss(
    logits: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """BCE + Dice, 1:1 as in IVM, averaged over the channels of each sample."""
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(2, 3))
    return (bce + dice_loss(logits, truth)).mean(dim=1)


def iou_loss(
    predicted: Float[Tensor, " b"], logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Squared error of the predicted IoU against the detached IoU of the thresholded mask; 0 where
    truth and mask are empty.
    """
    kept = (logits.detach() > 0).float()
    overlap, union = (kept * truth).sum(dim=(1, 2)), torch.maximum(kept, truth).sum(dim=(1, 2))
    return torch.where(union > 0, (predicted - overlap / union.clamp(min=1)).square(), 0.0)


def coarse_loss(
    logits: Float[Tensor, "b c h8 w8"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """The same loss where a patch is true if any of its pixels is: teaches what to look for before
    where it ends.
    """
    patch = truth.shape[-1] // logits.shape[-1]
    return mask_loss(logits, F.max_pool2d(truth, patch))
