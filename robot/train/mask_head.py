"""Train the mask head on simulator truth, calibrate its presence on frames it has not seen, measure
it by condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.batch import LanguageTokens, MaskBatch, Sentences
from robot.checkpoint import file_digest, read_header, save
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.dwsl import binary_weights
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.augment import MaskAugment
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.base import HEADS, Head
from robot.perception.head.metrics import auroc, iou
from robot.perception.head.presence import calibrate
from robot.perception.registry import split_kind
from robot.system.progress import Announce, silent
from robot.train.label_discriminator import load_verdicts, trusted_part
from robot.train.label_tiers import check_weighting, make_tiers
from robot.train.loop import Log, train
from robot.types import InputError


def train_mask_head(
    *,
    frames: Path,
    shards: int,
    directory: Path,
    head: Mapping[str, Any],
    training: Mapping[str, Any],
    batch_size: int,
    seed: int,
    weighting: Mapping[str, Any] | None = None,
    discriminator: Path | None = None,
    start: Path | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a head on `shards` shards of `frames`, but the held-out ones; return the checkpoint.
    Resumes; done is done.

    It begins with the weights of the head `start`, or with random ones. Without `weighting` every
    label is the simulator's. With one, a share of them is a machine's, and some of these are wrong:
    "uniform" learns from all alike, "trusted_only" from the trusted, "dwsl" weighs each by the
    `discriminator` of stage I.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    store = MaskFrameStore(frames)
    numbers, held_out = split_shards(shards)
    learned, judged = weighted_frames(
        store.load(shards=numbers), weighting, discriminator=discriminator, seed=seed
    )
    kind, options = split_kind(head, HEADS)
    torch.manual_seed(seed)
    module = HEADS[kind](**options)
    assert isinstance(module, Head)
    if start is not None:
        check_start(start, head)
        module.load_state_dict(Head.load(start).state_dict())
    language = module.word_encoder()
    average = train(
        module,
        mask_batches(
            learned,
            language=language,
            cameras=module.cameras,
            batch_size=batch_size,
            seed=seed,
            judged=judged,
        ),
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
        **training,
    )
    assert isinstance(average, Head)
    announce("measuring it on held-out frames")
    measured = calibrate_head(average, store.load(shards=held_out), language=language)
    began_with = None if start is None else file_digest(start)
    metadata = {
        "seed": seed,
        "held_out": measured,
        "weighting": dict(weighting or {}),
        "start_sha256": began_with,
    }
    return save(directory, average.cpu(), kind=kind, config=options, metadata=metadata)


def head_identity(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells one training of a head from another: what it starts from counts by content,
    not by place.
    """
    return {
        name: file_digest(value) if name == "start" else value for name, value in options.items()
    }


def check_start(start: Path, head: Mapping[str, Any]) -> None:
    """Refuse to begin a head with the weights of another kind or size of head."""
    header, (kind, options) = read_header(start), split_kind(head, HEADS)
    if (header["kind"], header["config"]) != (kind, options):
        raise InputError(
            f"got mask_head {kind} {options} to begin with the weights of {start}, a "
            f"{header['kind']} {header['config']}, "
            "expected the same; set head_start=null to train from scratch"
        )


def weighted_frames(
    frames: MaskFrames,
    weighting: Mapping[str, Any] | None,
    *,
    discriminator: Path | None,
    seed: int,
) -> tuple[MaskFrames, Tensor | None]:
    """Return the records to learn from, and the discriminator's logit of each where the weighting
    asks for one.

    The tiers are those that the discriminator was trained on: a function of frames, shares and
    seed.
    """
    kind = "none" if weighting is None else weighting["kind"]
    if (kind == "dwsl") != (discriminator is not None):
        raise InputError(
            f"got weighting {kind} and discriminator {discriminator}, expected a discriminator's "
            "checkpoint with dwsl and with "
            "nothing else; train_mask_discriminator makes one"
        )
    if weighting is None or kind == "none":
        return frames, None
    check_weighting(weighting)
    tiers = make_tiers(
        frames,
        trusted_share=weighting["trusted_share"],
        fault_share=weighting["fault_share"],
        seed=seed,
    )
    if kind == "trusted_only":
        return trusted_part(tiers), None
    return tiers.frames, None if discriminator is None else load_verdicts(
        discriminator, records=len(tiers.frames), seed=seed
    )


def mask_batches(
    frames: MaskFrames,
    *,
    language: LanguageEncoder | RawSentences,
    cameras: int,
    batch_size: int,
    seed: int,
    judged: Tensor | None = None,
) -> Callable[[int], Iterator[MaskBatch | tuple[MaskBatch, Tensor]]]:
    """Return batches of `batch_size` frames, whole looks, as a function of the first step.

    The batch of a step depends on (seed, step) only. With `judged`, a discriminator's logit per
    record, batches come with their weights.
    """
    tokens, augment = language.encode(list(frames.goals)), MaskAugment()
    looks = frames.looks(cameras=cameras)

    def batches(step: int) -> Iterator[MaskBatch | tuple[MaskBatch, Tensor]]:
        while True:
            rng = np.random.default_rng([seed, step])
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            chosen = looks[rng.integers(len(looks), size=max(1, batch_size // cameras))].ravel()
            batch = augment(frames.batch(chosen, language=tokens), generator)
            yield (
                batch
                if judged is None
                else (batch, binary_weights(judged[torch.from_numpy(chosen)].sigmoid()))
            )
            step += 1

    return batches


def calibrate_head(
    head: Head, frames: MaskFrames, *, language: LanguageEncoder | RawSentences
) -> dict[str, float]:
    """Fit the head's presence calibration to held-out frames; return its mean target IoU and
    presence AUROC there.
    """
    logits, ious = measure(head, frames, words=language.encode(list(frames.goals)))
    truth = torch.from_numpy(frames.presence.astype(np.float32))
    temperature, bias = calibrate(logits, truth)
    head.presence_temperature.copy_(temperature)
    head.presence_bias.copy_(bias)
    visible = truth[:, 0] > 0.5
    return {
        "mean_iou": ious[visible].nanmean().item(),
        "presence_auroc": auroc(logits[:, 0], truth[:, 0]),
    }


def measure(
    head: Head, frames: MaskFrames, *, words: LanguageTokens | Sentences
) -> tuple[Tensor, Tensor]:
    """Return presence logits (F, 2) and the IoU (F,) of the target's mask over all frames; row g of
    `words` belongs to `goals[g]`.
    """
    frames.looks(cameras=head.cameras)  # refuses what has none
    logits, ious = [], []
    for batch in frames.batches(head.frames_at_once, language=words):
        output = head.predict(batch.frames, batch.language)
        logits.append(output.presence_logits)
        ious.append(iou(output.logits[:, 0].sigmoid(), mask_from_labels(batch.labels)[:, 0]))
    return torch.cat(logits), torch.cat(ious)
