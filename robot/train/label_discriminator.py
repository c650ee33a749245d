"""Stage I of DWSL for masks: train the discriminator alone, measure it on held-out frames, score
every record with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robot.checkpoint import read_tensors, save, write_tensors
from robot.data.mask_batches import in_order, mask_batch
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.data.record_frames import with_records
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.augment import MaskAugment
from robot.perception.head.base import Head
from robot.perception.head.label_discriminator import LabelDiscriminator, ScoredBatch, ScoredRecords
from robot.perception.head.metrics import auroc
from robot.perception.registry import DISCRIMINATORS
from robot.system.command import plain
from robot.system.device import pick_device
from robot.system.parse import Spec
from robot.system.progress import Announce, silent
from robot.train.by_step import ByStep
from robot.train.label_tiers import MaskWeighting, Tiers, make_tiers
from robot.train.loop import Log, train_seeded
from robot.types import InputError

LOGITS = "logits.safetensors"  # beside the checkpoint
FORMER_LOGITS = "verdicts.safetensors"  # as it was called before


@dataclass(frozen=True, kw_only=True)
class LabelDiscriminatorTraining:
    """All that a trained discriminator of labels depends on, but for mask frames and witness."""

    shards: int
    weighting: MaskWeighting
    batch_size: int
    seed: int
    records: tuple[Path, ...] = ()


def train_label_discriminator(
    options: LabelDiscriminatorTraining,
    *,
    frames: Path,
    directory: Path,
    witness: Path | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train the weighting's discriminator on both tiers of the mask frames; return its checkpoint.

    `witness` is a head that learned from trusted labels only; a discriminator that reads losses
    sees this one's. The logits of all records that heads learn from lie beside the checkpoint
    (`load_logits`). Resumes; done is done.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    store, weighting, seed = MaskFrameStore(frames), options.weighting, options.seed
    spec, training = weighting.discriminator, weighting.training
    assert spec is not None and training is not None
    learned, held_out = split_shards(options.shards)
    discriminator = make_discriminator(spec, witness=witness, seed=seed)
    language = discriminator.word_encoder()
    announce("asking the witness about every label")
    labelled = with_records(store.load(shards=learned), options.records)
    seen = witnessed(labelled, weighting, witness=witness, seed=seed)
    batches = scored_batches(seen, language=language, batch_size=options.batch_size, seed=seed)
    average = train_seeded(
        discriminator, batches, training, directory=directory, seed=seed, log=log
    )
    assert isinstance(average, LabelDiscriminator)
    announce("scoring every label")
    logits = logits_of(average, seen, language=language)
    others = witnessed(store.load(shards=held_out), weighting, witness=witness, seed=seed + 1)
    measured = auroc_by_domain(others.tiers, logits_of(average, others, language=language))
    write_tensors(directory / LOGITS, {"logits": logits}, {"seed": seed})
    about = {"seed": seed, "held_out": plain(measured)}
    return save(directory, average.cpu(), kind=spec.kind, config=spec.options, metadata=about)


def make_discriminator(spec: Spec, *, witness: Path | None, seed: int) -> LabelDiscriminator:
    """Return the untrained discriminator; InputError unless there is a witness just where it reads
    one's losses.
    """
    torch.manual_seed(seed)
    discriminator = DISCRIMINATORS[spec.kind](**spec.options)
    assert isinstance(discriminator, LabelDiscriminator)
    reads = discriminator.reads_losses
    if reads != (witness is not None):
        raise InputError(
            f"got witness {witness} for a discriminator {spec.kind}, expected "
            f"{'a head, whose losses it reads' if reads else 'none: it reads no loss'}"
            "; correct mask_weighting.witness_steps"
        )
    return discriminator


@dataclass(frozen=True, eq=False)
class Witnessed:
    """Records of both tiers, and the witness's loss on each where there is a witness."""

    tiers: Tiers
    losses: Float[Tensor, " f"] | None


def witnessed(
    frames: MaskFrames,
    weighting: MaskWeighting,
    *,
    witness: Path | None,
    seed: int,
) -> Witnessed:
    """Deal records into tiers, and let the witness look at them."""
    tiers = make_tiers(
        frames,
        trusted_share=weighting.trusted_share,
        fault_share=weighting.fault_share,
        seed=seed,
    )
    if witness is None:
        return Witnessed(tiers, None)
    head = Head.load(witness).to(pick_device())
    return Witnessed(tiers, witness_losses(head, tiers.frames))


@torch.inference_mode()
def witness_losses(head: Head, frames: MaskFrames) -> Float[Tensor, " f"]:
    """Return the head's loss on the labels of all frames, as they are: what a discriminator sees of
    a witness (DWBC, arXiv 2207.10050).
    """
    frames.looks(cameras=head.cameras)  # raises where frames are no whole looks
    words = head.word_encoder().encode(list(frames.goals))
    losses = [
        head.loss_of(head.predict(batch.frames, batch.language), batch)
        for batch in in_order(frames, head.frames_at_once, language=words)
    ]
    return torch.cat(losses).clone()


def load_logits(discriminator: Path, *, records: int, seed: int) -> Tensor:
    """Return the logits (records,) that a trained discriminator left beside its checkpoint, or
    refuse those of other tiers.
    """
    files = [discriminator.parent / name for name in (LOGITS, FORMER_LOGITS)]
    tensors, about = read_tensors(next(filter(Path.is_file, files), files[0]))
    logits = tensors["logits"]
    if (len(logits), about["seed"]) != (records, seed):
        raise InputError(
            f"got scores of {len(logits)} records of seed {about['seed']} beside "
            f"{discriminator}, expected {records} of seed "
            f"{seed}: train it on these mask frames with that seed"
        )
    return logits


def scored_batches(
    seen: Witnessed,
    *,
    language: LanguageEncoder | RawSentences,
    batch_size: int,
    seed: int,
) -> ByStep[ScoredBatch]:
    """Return batches of `batch_size` trusted and as many machine records; a step's batch depends on
    (seed, step) only.
    """
    tiers, losses = seen.tiers, seen.losses
    words, augment = language.encode(list(tiers.frames.goals)), MaskAugment()
    members = {"trusted": np.flatnonzero(tiers.trusted), "machine": np.flatnonzero(~tiers.trusted)}

    def make(step: int) -> ScoredBatch:
        rng = np.random.default_rng([seed, step, 2])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        halves = {}
        for name, indices in members.items():
            chosen = rng.choice(indices, size=batch_size)
            batch = augment(mask_batch(tiers.frames, chosen, language=words), generator)
            halves[name] = ScoredRecords(
                batch, None if losses is None else losses[torch.from_numpy(chosen)]
            )
        return ScoredBatch(**halves)

    return ByStep(make)


@torch.inference_mode()
def logits_of(
    discriminator: LabelDiscriminator,
    seen: Witnessed,
    *,
    language: LanguageEncoder | RawSentences,
) -> Tensor:
    """Return the discriminator's logits (F,) for the frames, their labels and the witness's losses,
    all unchanged.
    """
    discriminator.eval()
    frames, losses = seen.tiers.frames, seen.losses
    device, words = next(discriminator.parameters()).device, language.encode(list(frames.goals))
    logits = []
    of_batches = repeat(None) if losses is None else losses.split(discriminator.frames_at_once)
    for batch, of_batch in zip(
        in_order(frames, discriminator.frames_at_once, language=words), of_batches, strict=False
    ):
        logits.append(discriminator.logits(ScoredRecords(batch, of_batch).to(device)).cpu())
    return torch.cat(logits).clone()


@dataclass(frozen=True)
class Auroc:
    """How well logits tell trusted from machine records (`tiers`), and within the machine's correct
    labels from faulty ones (`faults`): what the weights are for. None: there are none of either.
    """

    records: int
    tiers: float | None
    faults: float | None


def auroc_by_domain(tiers: Tiers, logits: Tensor) -> dict[str, Auroc]:
    """Return what the logits tell apart among all records and within each scene."""
    scenes = np.array(tiers.frames.scenes)
    domains = {"all": np.ones(len(scenes), bool)} | {
        str(scene): scenes == scene for scene in np.unique(scenes)
    }
    return {name: _aurocs(tiers, logits, inside) for name, inside in domains.items()}


def _aurocs(tiers: Tiers, logits: Tensor, inside: np.ndarray) -> Auroc:
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
    return Auroc(records=int(inside.sum()), **numbers)


def trusted_part(tiers: Tiers) -> MaskFrames:
    """Return the trusted records alone."""
    return tiers.frames.select(np.flatnonzero(tiers.trusted))
