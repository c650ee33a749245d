"""What a mask head makes of labels: its loss on every record, which a discriminator is told (DWBC,
arXiv 2207.10050).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from robot.data.mask_batches import in_order
from robot.data.mask_frames import MaskFrames
from robot.perception.head.mask_head import Head
from robot.perception.registry import words_for
from robot.system.device import pick_dtype


@torch.inference_mode()
def witness_losses(head: Head, frames: MaskFrames) -> Float[Tensor, " f"]:
    """Return the head's loss on the labels of all frames, as they are."""
    head.eval()
    frames.looks(cameras=head.cameras)  # refuses what has none
    device, words = head.presence_bias.device, words_for(head).encode(list(frames.goals))
    dtype = pick_dtype("auto", device)
    losses = []
    for batch in in_order(frames, head.frames_at_once, language=words):
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            losses.append(head.loss(batch.to(device)).float().cpu())  # type: ignore[operator]
    return torch.cat(losses).clone()
