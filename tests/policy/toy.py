"""A one-camera problem small enough to train on in seconds, and the statistics that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from robot.batch import LanguageTokens, PolicyBatch, PolicyObservation
from robot.policy.normalize import unit_statistics

HORIZON = 8
UNIT = unit_statistics(action=7, proprio=10)
ENCODER = {"cameras": 1, "image_size": 8, "width": 8, "layers": 2, "keypoints": 4, "dim": 32}
SMALL = {"statistics": UNIT, "encoder": ENCODER, "horizon": HORIZON, "depth": 2}


def observation(
    batch: int,
    *,
    cameras: int = 1,
    image_size: int = 8,
    proprio: int = 10,
    generator: torch.Generator | None = None,
):
    """Return a random observation."""

    def draw(*shape):
        return torch.rand(*shape, generator=generator)

    language = LanguageTokens(
        tokens=draw(batch, 4, 384) - 0.5, valid=torch.ones(batch, 4, dtype=torch.bool)
    )
    images = draw(batch, cameras, 6, image_size, image_size)
    return PolicyObservation(images=images, proprio=draw(batch, proprio) * 2 - 1, language=language)


def batch_of(actions: torch.Tensor, *, generator: torch.Generator | None = None) -> PolicyBatch:
    """Return a batch with the given actions (b, t, 7), all steps valid."""
    seen = observation(len(actions), generator=generator)
    return PolicyBatch(
        observation=seen, actions=actions, valid=torch.ones(actions.shape[:2], dtype=torch.bool)
    )


def two_ways(start: int, *, size: int = 32) -> Iterator[PolicyBatch]:
    """Yield batches of step `start`, start + 1, ...: the first action dimension is all +0.8 or all
    -0.8, whatever is seen.
    """
    step = start
    while True:
        generator = torch.Generator().manual_seed(step)
        actions = torch.zeros(size, HORIZON, 7)
        actions[..., 0] = 0.8 * (torch.randint(2, (size, 1), generator=generator) * 2 - 1)
        yield batch_of(actions, generator=generator)
        step += 1
