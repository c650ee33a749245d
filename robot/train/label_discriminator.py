"""Stage I of DWSL for masks: train the discriminator alone, measure it on held-out frames, judge
every record with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.checkpoint import read_tensors, save, write_tensors
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.augment import MaskAugment
from robot.perception.head.base import Head
from robot.perception.head.label_discriminator import Discriminator, JudgedBatch, JudgedRecords
from robot.perception.head.metrics import auroc
from robot.perception.registry import DISCRIMINATORS, split_kind
from robot.system.device import pick_device
from robot.system.progress import Announce, silent
from robot.train.label_tiers import Tiers, check_weighting, make_tiers
from robot.train.loop import Log, train
from robot.train.mask_witness import witness_losses
from robot.types import InputError

VERDICTS = "verdicts.safetensors"  # beside the checkpoint


def train_mask_discriminator(
    *,
    frames: Path,
    shards: int,
    directory: Path,
    weighting: Mapping[str, Any],
    batch_size: int,
    seed: int,
    witness: Path | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train the weighting's discriminator on both tiers of `shards` shards of `frames`; return the
    checkpoint. Resumes.

    `witness` is a head that learned from trusted labels only; a discriminator that reads losses is
    told this one's. The logits of all records that heads learn from lie beside the checkpoint
    (`load_verdicts`).
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    check_weighting(weighting)
    store = MaskFrameStore(frames)
    learned, held_out = split_shards(shards)
    shares = {name: weighting[name] for name in ("trusted_share", "fault_share")}
    kind, options = split_kind(weighting["discriminator"], DISCRIMINATORS)
    torch.manual_seed(seed)
    judge = DISCRIMINATORS[kind](**options)
    assert isinstance(judge, Discriminator)
    if judge.reads_losses != (witness is not None):
        raise InputError(
            f"got witness {witness} for a discriminator {kind}, expected "
            f"{'a head' if judge.reads_losses else 'None'}: it "
            f"{'is told' if judge.reads_losses else 'does not read'} a witness's losses; correct "
            "mask_weighting.witness_steps"
        )
    language, told = (
        judge.word_encoder(),
        None if witness is None else Head.load(witness).to(pick_device()),
    )
    tiers = make_tiers(store.load(shards=learned), seed=seed, **shares)
    announce("asking the witness about every label")
    losses = None if told is None else witness_losses(told, tiers.frames)
    average = train(
        judge,
        judged_batches(tiers, losses=losses, language=language, batch_size=batch_size, seed=seed),
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
        **weighting["training"],
    )
    assert isinstance(average, Discriminator)
    announce("judging every label")
    verdicts = {"logits": judge_all(average, tiers.frames, losses=losses, language=language)}
    tiers = make_tiers(store.load(shards=held_out), seed=seed + 1, **shares)
    losses = None if told is None else witness_losses(told, tiers.frames)
    measured = auroc_by_domain(
        tiers, judge_all(average, tiers.frames, losses=losses, language=language)
    )
    write_tensors(directory / VERDICTS, verdicts, {"seed": seed})
    return save(
        directory,
        average.cpu(),
        kind=kind,
        config=options,
        metadata={"seed": seed, "held_out": measured},
    )


def load_verdicts(discriminator: Path, *, records: int, seed: int) -> Tensor:
    """Return the logits (records,) that a trained discriminator left beside its checkpoint, or
    refuse those of other tiers.
    """
    tensors, about = read_tensors(discriminator.parent / VERDICTS)
    logits = tensors["logits"]
    if (len(logits), about["seed"]) != (records, seed):
        raise InputError(
            f"got verdicts on {len(logits)} records of seed {about['seed']} beside "
            f"{discriminator}, expected {records} of seed "
            f"{seed}: train it on these mask frames with that seed"
        )
    return logits


def judged_batches(
    tiers: Tiers,
    *,
    losses: Tensor | None,
    language: LanguageEncoder | RawSentences,
    batch_size: int,
    seed: int,
) -> Callable[[int], Iterator[JudgedBatch]]:
    """Return batches of `batch_size` trusted and as many machine records; a step's batch depends on
    (seed, step) only.
    """
    words, augment = language.encode(list(tiers.frames.goals)), MaskAugment()
    members = {"trusted": np.flatnonzero(tiers.trusted), "machine": np.flatnonzero(~tiers.trusted)}

    def batches(step: int) -> Iterator[JudgedBatch]:
        while True:
            rng = np.random.default_rng([seed, step, 2])
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            halves = {}
            for name, indices in members.items():
                chosen = rng.choice(indices, size=batch_size)
                batch = augment(tiers.frames.batch(chosen, language=words), generator)
                halves[name] = JudgedRecords(
                    batch, None if losses is None else losses[torch.from_numpy(chosen)]
                )
            yield JudgedBatch(**halves)
            step += 1

    return batches


@torch.inference_mode()
def judge_all(
    judge: Discriminator,
    frames: MaskFrames,
    *,
    losses: Tensor | None,
    language: LanguageEncoder | RawSentences,
) -> Tensor:
    """Return the discriminator's logits (F,) for the frames and labels as they are, and the
    witness's `losses` (F,) on them.
    """
    judge.eval()
    device, words = next(judge.parameters()).device, language.encode(list(frames.goals))
    logits = []
    told = repeat(None) if losses is None else losses.split(judge.frames_at_once)
    for batch, of_batch in zip(
        frames.batches(judge.frames_at_once, language=words), told, strict=False
    ):
        logits.append(judge.verdicts(JudgedRecords(batch, of_batch).to(device)).cpu())
    return torch.cat(logits).clone()


def auroc_by_domain(tiers: Tiers, logits: Tensor) -> dict[str, dict[str, float | int | None]]:
    """Return, for all records and within each scene, how well the logits tell trusted from machine
    records (`tiers`), and within the machine's how well they tell correct labels from faulty ones
    (`faults`): what the weights are for.
    """
    scenes = np.array(tiers.frames.scenes)
    domains = {"all": np.ones(len(scenes), bool)} | {
        str(scene): scenes == scene for scene in np.unique(scenes)
    }
    return {name: _aurocs(tiers, logits, inside) for name, inside in domains.items()}


def _aurocs(tiers: Tiers, logits: Tensor, inside: np.ndarray) -> dict[str, float | int | None]:
    machine = inside & ~tiers.trusted
    measured = {
        "tiers": auroc(
            logits[torch.from_numpy(inside)], torch.from_numpy(tiers.trusted[inside]).float()
        ),
        "faults": auroc(
            logits[torch.from_numpy(machine)], torch.from_numpy(~tiers.faulty[machine]).float()
        ),
    }
    numbers = {name: None if np.isnan(value) else value for name, value in measured.items()}
    return {"records": int(inside.sum()), **numbers}


def trusted_part(tiers: Tiers) -> MaskFrames:
    """Return the trusted records alone."""
    return tiers.frames.select(np.flatnonzero(tiers.trusted))
