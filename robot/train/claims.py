"""Train the claim network: generate and correct in one mixed batch, from the region reader on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robot.checkpoint import save
from robot.data.claim_frames import ClaimFrames
from robot.perception.claims.network import ClaimNetwork
from robot.perception.regions.network import RegionNetwork
from robot.train.claim_batches import claim_batches
from robot.train.loop import Log, Training, train_seeded

KIND = "claims"


@dataclass(frozen=True, kw_only=True)
class ClaimTraining:
    """All that a trained claim network depends on, but for its frames and its first weights."""

    network: Mapping[str, Any]
    training: Training
    batch_size: int
    seed: int


def train_claims(
    options: ClaimTraining,
    frames: ClaimFrames,
    *,
    directory: Path,
    reader: RegionNetwork | None = None,
    log: Log | None = None,
) -> Path:
    """Train on frames; return the checkpoint in `directory`. Resumes; done is done. `reader` is
    whose encoder it begins with.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    torch.manual_seed(options.seed)
    network = ClaimNetwork(**options.network)
    if reader is not None:
        network.begin_with(reader)
    batches = claim_batches(frames, batch_size=options.batch_size, seed=options.seed)
    average = train_seeded(
        network, batches, options.training, directory=directory, seed=options.seed, log=log
    )
    about = {"seed": options.seed, "steps": options.training.steps, "frames": len(frames)}
    return save(directory, average.cpu(), kind=KIND, config=options.network, metadata=about)
