"""Train the region head on staged looks, calibrate its presence on looks it has not seen, measure
it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robot.checkpoint import load, save
from robot.data.scene_looks import SceneLookStore
from robot.perception.head.base import HEADS
from robot.perception.head.mask_head import MaskHead
from robot.perception.head.metrics import auroc, iou
from robot.perception.names import resolve_head
from robot.perception.regions.batch import RegionBatch
from robot.perception.regions.head import FILE_NAME, KIND, ROLES, RegionHead, RegionOutput
from robot.perception.regions.prompts import Prompt
from robot.spaces import Camera, cameras_to_json
from robot.system.progress import Announce, silent
from robot.train.loop import Log, Training, train_seeded
from robot.train.region_batches import Index, batch_of, index_of, region_batches

HELD_OUT_SHARE = 0.1  # of the shards
MEASURED_BATCHES, MEASURED_SIZE = 40, 32
SMALLEST_PX = 30  # of the objects whose outline is measured


@dataclass(frozen=True, kw_only=True)
class RegionTraining:
    """All that a trained region head depends on, but for its looks and the mask head whose weights
    it begins with.
    """

    training: Training
    batch_size: int
    seed: int


def train_region_head(
    options: RegionTraining,
    *,
    looks: Path,
    directory: Path,
    start: str | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a head on the looks in a folder; return its checkpoint in `directory`. Resumes; done is
    done.
    """
    file = directory / FILE_NAME
    if file.is_file():
        return file
    store = SceneLookStore(looks)
    learned, held_out = split_looks(store.shards())
    seen = store.load(shards=learned)
    torch.manual_seed(options.seed)
    module = RegionHead(cameras=len(seen.cameras))
    if start is not None:
        warm_up(module, start)
    batches = region_batches(index_of(seen), batch_size=options.batch_size, seed=options.seed)
    average = train_seeded(
        module, batches, options.training, directory=directory, seed=options.seed, log=log
    )
    assert isinstance(average, RegionHead)
    announce("measuring it on held-out looks")
    measured = calibrate_region_head(average, index_of(store.load(shards=held_out)))
    height, width = seen.images.shape[2:4]
    cameras = [Camera(name, height, width) for name in seen.cameras]
    return save(
        file,
        average.cpu(),
        kind=KIND,
        config={"cameras": len(cameras)},
        metadata={
            "seed": options.seed,
            "held_out": measured,
            "cameras": cameras_to_json(cameras),
        },
    )


def split_looks(shards: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the shards to learn from, and the last ones, which are held out."""
    first = len(shards) - max(1, round(HELD_OUT_SHARE * len(shards)))
    return list(shards[:first]), list(shards[first:])


def warm_up(module: RegionHead, start: str) -> None:
    """Begin with the encoder and decoder of a mask head, without its sentence."""
    source = load(resolve_head(start), HEADS)
    assert isinstance(source, MaskHead)
    with torch.no_grad():
        for name, values in source.decoder.state_dict().items():
            module.decoder.state_dict()[name].copy_(values)
        own = module.encoder.state_dict()
        for name, values in source.encoder.state_dict().items():
            if name.endswith("film.weight"):
                own[name].zero_()  # nothing is read
            else:
                own[name].copy_(values)
        module.presence.load_state_dict(source.presence.state_dict())


@torch.inference_mode()
def calibrate_region_head(head: RegionHead, index: Index, *, seed: int = 0) -> dict[str, float]:
    """Fit the head's presence calibration to held-out looks; return what `measure` says of them."""
    head.eval()
    outputs, batches = [], []
    for k in range(MEASURED_BATCHES):
        rng = np.random.default_rng([seed, k, 5])
        batch = batch_of(index, size=MEASURED_SIZE, rng=rng, augment=False)
        batches.append(batch)
        outputs.append(head(batch))
    used = torch.cat([_used(batch, cameras=head.cameras) for batch in batches])
    logits = torch.cat([output.presence_logits for output in outputs])
    visible = torch.cat([batch.visible for batch in batches])
    # the roles are drawn alike: one calibration for both
    both = (values[used][:, None].expand(-1, ROLES) for values in (logits, visible))
    head.calibrate_presence(*both)
    return measure(outputs, batches) | {"presence_auroc": auroc(logits[used], visible[used])}


def measure(outputs: Sequence[RegionOutput], batches: Sequence[RegionBatch]) -> dict[str, float]:
    """Return the mean IoU of the masks of things that are visible, by what was known of them in
    their camera, and the share of these masks that lie on something else.
    """
    ious, filled, kinds, pointed, areas, missed = [], [], [], [], [], []
    for output, batch in zip(outputs, batches, strict=True):
        masks, truth = output.logits[:, :ROLES].sigmoid(), batch.truth[:, :ROLES].float()
        visible = batch.visible > 0.5
        value = iou(masks, truth)
        ious.append(value[visible])
        filled.append(iou(batch.planes, truth)[visible])
        kinds.append(batch.kinds[visible])
        areas.append(truth.sum(dim=(2, 3))[visible])
        points = torch.arange(len(batch.frames)) < len(batch.frames) - len(batch.then)
        pointed.append(points[:, None].expand(-1, ROLES)[visible])
        missed.append((value < 0.1)[visible])
    iou_all, kind, area = torch.cat(ious), torch.cat(kinds), torch.cat(areas)
    is_pointed, miss, large = torch.cat(pointed), torch.cat(missed).float(), area >= SMALLEST_PX
    rows = {
        "box": large & (kind == Prompt.BOX),
        "click": large & (kind == Prompt.CLICK),
        "mask": large & (kind == Prompt.MASK),
        "other_camera": large & is_pointed & (kind == Prompt.NONE),
        "followed": large & (kind == Prompt.BEFORE),
        "found_again": large & ~is_pointed & (kind != Prompt.BEFORE),
    }
    return {
        "iou_filled_box": _mean(torch.cat(filled)[rows["box"]]),
        **{f"iou_{name}": _mean(iou_all[rows_of]) for name, rows_of in rows.items()},
        **{f"missed_{name}": _mean(miss[rows_of]) for name, rows_of in rows.items()},
    }


def _used(batch: RegionBatch, *, cameras: int) -> Tensor:
    """Return which roles of which frames are about something."""
    looks = batch.shown.flatten(2).any(dim=2).unflatten(0, (-1, cameras)).any(dim=1)
    return looks.repeat_interleave(cameras, dim=0)


def _mean(values: Tensor) -> float:
    return round(values.nanmean().item(), 4)
