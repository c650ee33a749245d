"""What a mask head makes of labels: its loss on every record, which a discriminator is told (DWBC,
arXiv 2207.10050).
"""

from __future__ import annotations

import torch
from jaxtyping import Float

from robot.data.mask_frames import MaskFrames
from robot.perception.head.base import Head


@torch.no_grad()
def witness_losses(head: Head, frames: MaskFrames) -> Float[torch.Tensor, " f"]:
    """Return the head's loss on the labels of all frames, as they are."""
    frames.looks(cameras=head.cameras)  # refuses what has none
    words = head.word_encoder().encode(list(frames.goals))
    losses = [
        head.loss_of(head.predict(batch.frames, batch.language), batch)
        for batch in frames.batches(head.frames_at_once, language=words)
    ]
    return torch.cat(losses)
