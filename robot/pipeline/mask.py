"""Train the mask head on simulator truth, calibrate its presence on frames it has not seen, measure it by condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.batch import LanguageTokens, MaskBatch
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.language import LanguageEncoder
from robot.perception.augment import MaskAugment
from robot.perception.mask_head import MaskHead
from robot.perception.masking import mask_from_labels
from robot.perception.metrics import auroc, iou
from robot.perception.presence import calibrate
from robot.train.checkpoint import save
from robot.train.loop import Log, train
from robot.types import InputError

HELD_OUT_SHARDS = 2  # the last ones: calibration and the numbers in the log
EVALUATION_BATCH = 32  # looks


def train_mask_head(
    *,
    frames: Path,
    directory: Path,
    head: Mapping[str, Any],
    training: Mapping[str, Any],
    batch_size: int,
    seed: int,
    log: Log | None = None,
) -> Path:
    """Train a head on the shards of `frames`, but the held-out ones; return the checkpoint. Resumes; done is done."""
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    store = MaskFrameStore(frames)
    shards = store.shards()
    held_out = shards[-HELD_OUT_SHARDS:] if len(shards) > HELD_OUT_SHARDS else shards
    learned = store.load(shards=[s for s in shards if s not in held_out] or shards)
    language = LanguageEncoder()
    torch.manual_seed(seed)
    module = MaskHead(**head)
    average = train(
        module,
        mask_batches(learned, language=language, cameras=module.cameras, batch_size=batch_size, seed=seed),
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
        **training,
    )
    assert isinstance(average, MaskHead)
    average = average.cpu()
    measured = calibrate_head(average, store.load(shards=held_out), language=language)
    return save(directory, average, kind="mask_head", config=dict(head), metadata={"seed": seed, "held_out": measured})


def mask_batches(
    frames: MaskFrames, *, language: LanguageEncoder, cameras: int, batch_size: int, seed: int
) -> Callable[[int], Iterator[MaskBatch]]:
    """Return batches of `batch_size` frames, whole looks, as a function of the first step.

    The batch of a step depends on (seed, step) only.
    """
    tokens, augment = language.encode(list(frames.goals)), MaskAugment()
    looks = whole_looks(frames, cameras=cameras)

    def batches(step: int) -> Iterator[MaskBatch]:
        while True:
            rng = np.random.default_rng([seed, step])
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            drawn = looks[rng.integers(len(looks), size=max(1, batch_size // cameras))].ravel()
            yield augment(frames.batch(drawn, language=tokens), generator)
            step += 1

    return batches


def whole_looks(frames: MaskFrames, *, cameras: int) -> np.ndarray:
    """Return the records (L, cameras) of every look, or refuse frames whose cameras do not lie side by side."""
    names = np.array(frames.cameras)
    if cameras == 1:
        return np.arange(len(frames))[:, None]
    if len(names) % cameras or (names.reshape(-1, cameras) != names[:cameras]).any() or len(set(names[:cameras])) < cameras:
        raise InputError(
            f"got mask frames of {sorted(set(names))} for a head of {cameras} cameras, expected each of them in every look, "
            "side by side; set mask_head.cameras or render the frames again"
        )
    return np.arange(len(frames)).reshape(-1, cameras)


@torch.inference_mode()
def calibrate_head(head: MaskHead, frames: MaskFrames, *, language: LanguageEncoder) -> dict[str, float]:
    """Fit the head's presence calibration to held-out frames; return its mean target IoU and presence AUROC there."""
    tokens = language.encode(list(frames.goals))
    logits, ious = predict(head, frames, tokens=tokens)
    truth = torch.from_numpy(frames.presence.astype(np.float32))
    with torch.inference_mode(False):
        temperature, bias = calibrate(logits.clone(), truth.clone())
    head.presence_temperature.copy_(temperature)
    head.presence_bias.copy_(bias)
    visible = truth[:, 0] > 0.5
    return {"mean_iou": ious[visible].nanmean().item(), "presence_auroc": auroc(logits[:, 0], truth[:, 0])}


@torch.inference_mode()
def predict(head: MaskHead, frames: MaskFrames, *, tokens: LanguageTokens) -> tuple[Tensor, Tensor]:
    """Return presence logits (F, 2) and the IoU (F,) of the target's mask over all frames."""
    head.eval()
    whole_looks(frames, cameras=head.cameras)  # refuses what is none
    size = EVALUATION_BATCH * head.cameras
    logits, ious = [], []
    for start in range(0, len(frames), size):
        batch = frames.batch(np.arange(start, min(start + size, len(frames))), language=tokens)
        output = head(batch.frames, batch.language)
        logits.append(output.presence_logits)
        ious.append(iou(output.logits[:, 0].sigmoid(), mask_from_labels(batch.labels)[:, 0]))
    return torch.cat(logits), torch.cat(ious)
