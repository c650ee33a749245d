"""A module that uses everything a resume must restore: channels_last kernels, dropout (global
random state), drawn noise.

`python -m tests.train.tiny FOLDER PAUSE_S` trains it, so that tests can kill a real process.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robot.train.loop import Training, train

STEPS = 60
CHECKPOINT_EVERY = 3


@dataclass(frozen=True)
class TinyBatch:
    images: Tensor  # (b, 3, 4, 4)
    target: Tensor  # (b,)

    def to(self, device: torch.device | str) -> TinyBatch:
        return TinyBatch(images=self.images.to(device), target=self.target.to(device))


class Tiny(nn.Module):
    def __init__(self, *, width: int = 4):
        super().__init__()
        self.convolution = nn.Conv2d(3, width, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(width * 4, 1)

    def loss(self, batch: TinyBatch, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(batch.images.shape, generator=generator)
        features = F.dropout(
            self.convolution(batch.images + 0.1 * noise).relu().flatten(1), 0.2, self.training
        )
        return (self.head(features)[:, 0].float() - batch.target).square()


def batch_of_step(step: int) -> TinyBatch:
    generator = torch.Generator().manual_seed(1000 + step)
    images = torch.randn(8, 3, 4, 4, generator=generator)
    return TinyBatch(images=images, target=images.mean((1, 2, 3)))


def batches(start: int) -> Iterator[TinyBatch]:
    return map(batch_of_step, itertools.count(start))


def train_tiny(
    folder: Path | str | None, *, pause_s: float = 0.0, as_iterator: bool = False
) -> nn.Module:
    """Train, the same way in every process; `pause_s` a step leaves time to kill it."""

    def slow(start: int) -> Iterator[TinyBatch]:
        for batch in batches(start):
            time.sleep(pause_s)
            yield batch

    torch.manual_seed(0)
    training = Training(
        steps=STEPS,
        warmup_steps=2,
        precision="fp32",
        device="cpu",
        checkpoint_every=CHECKPOINT_EVERY,
    )
    generator = torch.Generator().manual_seed(7)
    source = slow(0) if as_iterator else slow
    return train(Tiny(), source, training, generator=generator, checkpoint_dir=folder)


if __name__ == "__main__":
    train_tiny(sys.argv[1], pause_s=float(sys.argv[2]))
