"""Stage I of DWSL for masks: train the discriminator alone, measure it on held-out frames, score records with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.language import LanguageEncoder, RawSentences
from robot.perception.augment import MaskAugment
from robot.perception.discriminator import Discriminator, JudgedBatch, kept
from robot.perception.metrics import auroc
from robot.pipeline.loading import DISCRIMINATORS, split_kind, words_for
from robot.pipeline.mask_shards import split_shards
from robot.pipeline.mask_tiers import Tiers, check_weighting, make_tiers
from robot.train.checkpoint import save
from robot.train.loop import Log, train


def train_mask_discriminator(
    *, frames: Path, directory: Path, weighting: Mapping[str, Any], batch_size: int, seed: int, log: Log | None = None
) -> Path:
    """Train the weighting's discriminator on both tiers of `frames`; return the checkpoint. Resumes; done is done."""
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    check_weighting(weighting)
    store = MaskFrameStore(frames)
    learned, held_out = split_shards(store)
    shares = {name: weighting[name] for name in ("trusted_share", "fault_share")}
    kind, options = split_kind(weighting["discriminator"], DISCRIMINATORS)
    torch.manual_seed(seed)
    judge = DISCRIMINATORS[kind](**options)
    assert isinstance(judge, Discriminator)
    language = words_for(judge)
    average = train(
        judge,
        judged_batches(
            make_tiers(store.load(shards=learned), seed=seed, **shares), language=language, batch_size=batch_size, seed=seed
        ),
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
        **weighting["training"],
    )
    assert isinstance(average, Discriminator)
    tiers = make_tiers(store.load(shards=held_out), seed=seed + 1, **shares)
    measured = auroc_by_domain(tiers, score(average, tiers.frames, language=language))
    return save(directory, average.cpu(), kind=kind, config=options, metadata={"seed": seed, "held_out": measured})


def judged_batches(
    tiers: Tiers, *, language: LanguageEncoder | RawSentences, batch_size: int, seed: int
) -> Callable[[int], Iterator[JudgedBatch]]:
    """Return batches of `batch_size` trusted and as many machine records; a step's batch depends on (seed, step) only."""
    words, augment = language.encode(list(tiers.frames.goals)), MaskAugment()
    members = {"trusted": np.flatnonzero(tiers.trusted), "machine": np.flatnonzero(~tiers.trusted)}

    def batches(step: int) -> Iterator[JudgedBatch]:
        while True:
            rng = np.random.default_rng([seed, step, 2])
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            halves = {
                name: augment(tiers.frames.batch(rng.choice(indices, size=batch_size), language=words), generator)
                for name, indices in members.items()
            }
            yield JudgedBatch(**halves)
            step += 1

    return batches


@torch.inference_mode()
def score(judge: Discriminator, frames: MaskFrames, *, language: LanguageEncoder | RawSentences) -> Tensor:
    """Return the discriminator's logits (F,) for the frames and labels as they are."""
    judge.eval()
    device, words = next(judge.parameters()).device, language.encode(list(frames.goals))
    logits = []
    for start in range(0, len(frames), judge.frames_at_once):
        chosen = np.arange(start, min(start + judge.frames_at_once, len(frames)))
        batch = frames.batch(chosen, language=words).to(device)
        logits.append(judge(batch.frames, batch.language, kept(batch.labels)).cpu())
    return torch.cat(logits).clone()


def auroc_by_domain(tiers: Tiers, logits: Tensor) -> dict[str, dict[str, float | int | None]]:
    """Return, for all records and within each scene, how well the logits tell trusted from machine records (`tiers`), and
    within the machine's how well they tell correct labels from faulty ones (`faults`): what the weights are for."""
    scenes = np.array(tiers.frames.scenes)
    domains = {"all": np.ones(len(scenes), bool)} | {str(scene): scenes == scene for scene in np.unique(scenes)}
    return {name: _aurocs(tiers, logits, inside) for name, inside in domains.items()}


def _aurocs(tiers: Tiers, logits: Tensor, inside: np.ndarray) -> dict[str, float | int | None]:
    machine = inside & ~tiers.trusted
    measured = {
        "tiers": auroc(logits[torch.from_numpy(inside)], torch.from_numpy(tiers.trusted[inside]).float()),
        "faults": auroc(logits[torch.from_numpy(machine)], torch.from_numpy(~tiers.faulty[machine]).float()),
    }
    numbers = {name: None if np.isnan(value) else value for name, value in measured.items()}
    return {"records": int(inside.sum()), **numbers}


def trusted_part(tiers: Tiers) -> MaskFrames:
    """Return the trusted records alone."""
    return tiers.frames.select(np.flatnonzero(tiers.trusted))
