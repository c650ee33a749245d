"""Tell a policy on whole frames where the goal's objects are: in training, by a loss, and never by
its input.

Keypoint r of every camera learns to look at what plays role r: the target, then the destination.
Nothing else changes, so the policy that comes out acts on bare frames, as one that was never told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import PolicyBatch
from robot.policy.attention import watched
from robot.policy.registry import Policy

ROLES = slice(3, 5)  # channels of a composite: coverage of target and destination


class Grounded(nn.Module):
    """A policy while it is trained on composites of the Channel deployment: their coverage is what
    its keypoints are told, `weight` times the loss; the policy itself gets whole frames.
    """

    def __init__(self, policy: Policy, *, weight: float) -> None:
        super().__init__()
        self.policy, self.weight = policy, weight

    def loss(
        self, batch: PolicyBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the policy's loss and that of its keypoints."""
        images = batch.observation.images
        seen = replace(batch.observation, images=whole(images))
        with watched(self.policy.encoder.vision) as scores:
            error = self.policy.loss(replace(batch, observation=seen), generator)
        return error + self.weight * grounding_loss(scores, images[:, :, ROLES])


def whole(images: Float[Tensor, "b n 6 h w"]) -> Float[Tensor, "b n 6 h w"]:
    """Return what the Unmasked deployment would have given: the picture, all of it covered."""
    return torch.cat([images[:, :, :3], torch.ones_like(images[:, :, 3:])], dim=2)


def grounding_loss(
    scores: Sequence[Float[Tensor, "b k p"]], coverage: Float[Tensor, "b n r h w"]
) -> Float[Tensor, " b"]:
    """Return the cross-entropy between the attention of keypoint r and the pixels of role r, summed
    over the roles, averaged over the cameras (`scores` has one tensor each). A role that a camera
    does not show costs nothing there.
    """
    total = coverage.new_zeros(len(coverage))
    for of_camera, shown in zip(scores, coverage.unbind(dim=1), strict=True):
        pixels = shown.shape[-1] // math.isqrt(of_camera.shape[-1])  # on a side of a place
        there = F.avg_pool2d(shown, pixels).flatten(2)  # (b, r, p)
        share = there / there.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        logs = of_camera[:, : shown.shape[1]].float().log_softmax(dim=-1)
        total = total - (share * logs).sum(dim=(1, 2))
    return total / coverage.shape[1]
