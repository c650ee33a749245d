"""Train the mask head on simulator truth, calibrate its presence on frames it has not seen, measure
it by condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.batch import LanguageTokens, MaskBatch, Sentences
from robot.checkpoint import file_digest, save
from robot.data.mask_batches import in_order, mask_batch
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.data.record_frames import with_records
from robot.dwsl import binary_weights
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.augment import MaskAugment
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.base import HEADS, Head
from robot.perception.head.metrics import auroc, iou
from robot.perception.names import check_start
from robot.spaces import cameras_to_json
from robot.system.cache import ADDED
from robot.system.command import plain
from robot.system.parse import Spec
from robot.system.progress import Announce, silent
from robot.train.by_step import ByStep
from robot.train.label_discriminator import load_logits, trusted_part
from robot.train.label_tiers import MaskWeighting, make_tiers
from robot.train.loop import Log, Training, train_seeded
from robot.train.named_hues import looks_in_other_hues
from robot.words.reader import vocabulary_named_by


@dataclass(frozen=True, kw_only=True)
class HeadTraining:
    """All that a trained mask head depends on, but for its mask frames, the head that it starts
    from and the discriminator of its labels.

    It learns from `shards` shards of mask frames, less the held-out ones, and from the goals in the
    data engine's `records`; `hue_share` of the looks are shown in other hues
    (robot.train.named_hues).
    """

    shards: int
    head: Spec
    training: Training
    batch_size: int
    seed: int
    weighting: MaskWeighting = MaskWeighting()
    records: tuple[Path, ...] = ()
    hue_share: float = field(default=0.0, metadata=ADDED)


def train_mask_head(
    options: HeadTraining,
    *,
    frames: Path,
    directory: Path,
    start: Path | None = None,
    discriminator: Path | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a head on the mask frames in `frames`, from the weights of the head `start` or from
    random ones; return its checkpoint in `directory`. Resumes; done is done.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    store, spec, seed = MaskFrameStore(frames), options.head, options.seed
    shards, held_out = split_shards(options.shards)
    labelled = with_records(store.load(shards=shards), options.records)
    learned, logits = weighted_frames(
        labelled, options.weighting, discriminator=discriminator, seed=seed
    )
    module = make_head(spec, start=start, seed=seed)
    language = module.word_encoder()
    batches = mask_batches(
        learned,
        language=language,
        cameras=module.cameras,
        batch_size=options.batch_size,
        seed=seed,
        logits=logits,
        hue_share=options.hue_share,
    )
    average = train_seeded(
        module, batches, options.training, directory=directory, seed=seed, log=log
    )
    assert isinstance(average, Head)
    announce("measuring it on held-out frames")
    measured = calibrate_head(average, store.load(shards=held_out), language=language)
    about = metadata_of(options, learned, measured=measured, start=start)
    return save(directory, average.cpu(), kind=spec.kind, config=spec.options, metadata=about)


def make_head(spec: Spec, *, start: Path | None, seed: int) -> Head:
    """Return the head before its first step."""
    torch.manual_seed(seed)
    module = HEADS[spec.kind](**spec.options)
    assert isinstance(module, Head)
    if start is not None:
        check_start(start, spec)
        module.load_state_dict(Head.load(start).state_dict())
    return module


def metadata_of(
    options: HeadTraining, frames: MaskFrames, *, measured: Mapping[str, float], start: Path | None
) -> dict[str, Any]:
    """Return what the checkpoint says about what the head learned from, and how well."""
    return {
        "seed": options.seed,
        "held_out": measured,
        "weighting": plain(options.weighting),
        "hue_share": options.hue_share,
        "start_sha256": None if start is None else file_digest(start),
        "cameras": cameras_to_json(frames.camera_spaces),
        "vocabulary": vocabulary_named_by(frames.goals),
    }


def weighted_frames(
    frames: MaskFrames, weighting: MaskWeighting, *, discriminator: Path | None, seed: int
) -> tuple[MaskFrames, Tensor | None]:
    """Return the records to learn from, and the discriminator's logit of each for dwsl.

    The tiers are those that the discriminator was trained on: a function of frames, shares and
    seed.
    """
    if (weighting.kind == "dwsl") != (discriminator is not None):
        raise ValueError(
            f"got weighting {weighting.kind} and discriminator {discriminator}, expected a "
            "discriminator's checkpoint with dwsl and with nothing else"
        )
    if weighting.kind == "none":
        return frames, None
    tiers = make_tiers(
        frames,
        trusted_share=weighting.trusted_share,
        fault_share=weighting.fault_share,
        seed=seed,
    )
    if weighting.kind == "trusted_only":
        return trusted_part(tiers), None
    if discriminator is None:
        return tiers.frames, None
    return tiers.frames, load_logits(discriminator, records=len(tiers.frames), seed=seed)


def mask_batches(
    frames: MaskFrames,
    *,
    language: LanguageEncoder | RawSentences,
    cameras: int,
    batch_size: int,
    seed: int,
    logits: Tensor | None = None,
    hue_share: float = 0.0,
) -> ByStep[MaskBatch | tuple[MaskBatch, Tensor]]:
    """Return batches of `batch_size` frames, whole looks, as a function of the first step.

    The batch of a step depends on (seed, step) only. With `logits`, a discriminator's logit per
    record, batches come with their weights.
    """
    tokens, augment = language.encode(list(frames.goals)), MaskAugment()
    looks = frames.looks(cameras=cameras)

    def make(step: int) -> MaskBatch | tuple[MaskBatch, Tensor]:
        rng = np.random.default_rng([seed, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = looks[rng.integers(len(looks), size=max(1, batch_size // cameras))].ravel()
        batch = mask_batch(frames, chosen, language=tokens)
        if hue_share:
            batch = looks_in_other_hues(batch, cameras=cameras, share=hue_share, rng=rng)
        batch = augment(batch, generator)
        return (
            batch
            if logits is None
            else (batch, binary_weights(logits[torch.from_numpy(chosen)].sigmoid()))
        )

    return ByStep(make)


@torch.inference_mode()
def calibrate_head(
    head: Head, frames: MaskFrames, *, language: LanguageEncoder | RawSentences
) -> dict[str, float]:
    """Fit the head's presence calibration to held-out frames; return its mean target IoU and
    presence AUROC there.
    """
    tokens = language.encode(list(frames.goals))
    logits, ious = predict(head, frames, tokens=tokens)
    truth = torch.from_numpy(frames.presence.astype(np.float32))
    head.calibrate_presence(logits, truth)
    visible = truth[:, 0] > 0.5
    return {
        "mean_iou": ious[visible].nanmean().item(),
        "presence_auroc": auroc(logits[:, 0], truth[:, 0]),
    }


@torch.inference_mode()
def predict(
    head: Head, frames: MaskFrames, *, tokens: LanguageTokens | Sentences
) -> tuple[Tensor, Tensor]:
    """Return presence logits (F, 2) and the IoU (F,) of the target's mask over all frames."""
    frames.looks(cameras=head.cameras)  # raises where frames are no whole looks
    logits, ious = [], []
    for batch in in_order(frames, head.frames_at_once, language=tokens):
        output = head.predict(batch.frames, batch.language)
        logits.append(output.presence_logits)
        ious.append(iou(output.logits[:, 0].sigmoid(), mask_from_labels(batch.labels)[:, 0]))
    return torch.cat(logits), torch.cat(ious)
