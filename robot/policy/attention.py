"""Where the keypoints of an encoder look, and a way to see it from outside while it encodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor, nn


class KeypointAttention(nn.Module):
    """Turn scores of every keypoint at every place of a picture into weights that sum to 1."""

    def forward(self, scores: Float[Tensor, "b k p"]) -> Float[Tensor, "b k p"]:
        return scores.float().softmax(-1)  # in float32: positions need the digits


@contextmanager
def watched(encoder: nn.Module) -> Iterator[list[Float[Tensor, "b k p"]]]:
    """Collect the scores of every keypoint while `encoder` encodes: one tensor per camera, in
    order, with its gradient.
    """
    scores: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, given: scores.append(given[0]))
        for module in encoder.modules()
        if isinstance(module, KeypointAttention)
    ]
    try:
        yield scores
    finally:
        for hook in hooks:
            hook.remove()
