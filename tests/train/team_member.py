"""One process of a team: trains a small module and says what came out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from robot.train.by_step import ByStep
from robot.train.loop import Training, train
from robot.train.resume import FILE_NAME
from tests.train.tiny import Tiny, TinyBatch, batch_of_step

TRAINING = Training(
    steps=4, warmup_steps=1, learning_rate=1e-2, precision="fp32", device="cpu", checkpoint_every=2
)


class Plain(Tiny):
    """Without noise and dropout, which every process draws for itself."""

    def loss(self, batch: TinyBatch, generator: torch.Generator | None = None) -> torch.Tensor:
        del generator
        features = self.convolution(batch.images).relu().flatten(1)
        return (self.head(features)[:, 0].float() - batch.target).square()


def main(folder: Path, broken_at: int) -> None:
    """Train; batches from `broken_at` on cannot be had."""

    def make(step: int) -> TinyBatch:
        if step >= broken_at:
            raise ValueError("no batch")
        return batch_of_step(step)

    torch.set_num_threads(1)
    torch.manual_seed(0)
    average = train(Plain(), ByStep(make), TRAINING, checkpoint_dir=folder / "training")
    wrote = (folder / "training" / FILE_NAME).is_file()
    weights = torch.cat([w.flatten() for w in average.state_dict().values()])
    np.savez(folder / "said.npz", weights=weights.numpy(), wrote=wrote)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
