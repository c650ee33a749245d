"""Train the region reader on looks whose every object is known (robot.rollout.region_looks)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robot.batch import LanguageTokens
from robot.checkpoint import save
from robot.data.scene_looks import SceneLooks
from robot.language import LanguageEncoder
from robot.perception.compose.augment import colour_maps
from robot.perception.compose.light import Photometric
from robot.perception.regions.losses import DenseTargets, RegionBatch, dense_targets
from robot.perception.regions.masks import DENSE, PROPOSED
from robot.perception.regions.network import RegionNetwork, Regions
from robot.perception.regions.pool import boxes_of
from robot.perception.regions.sizes import STRIDES, ReaderSizes
from robot.perception.regions.truth import TrueRegion, true_pairs, true_regions
from robot.perception.regions.vocabulary import ATTRIBUTES, UNKNOWN, vocabulary
from robot.train.by_step import ByStep
from robot.train.loop import Log, Training, train_seeded
from robot.train.region_crops import cropped
from robot.train.region_hues import in_other_hues
from robot.train.region_phrases import all_phrases, false_phrase, true_phrase

REGIONS_PER_FRAME = 12
QUESTIONS = 2  # per region: one true, one false
BOX_JITTER = 0.08  # of a box's sides
MASK_SHARE = 0.75  # of the regions come with their mask, the others as a box
EDGE_SHARE = 0.3  # of the masks are a pixel too wide or too narrow
LIGHT = Photometric(brightness=0.1, contrast=0.1, saturation=0.1, tint=0.03, offset=0.02)
KIND = "region_reader"


@dataclass(frozen=True, kw_only=True)
class ReaderTraining:
    """All that a trained region reader depends on, but for its looks."""

    network: ReaderSizes
    training: Training
    batch_size: int
    seed: int
    hue_share: float  # of the frames are shown in other hues, and say nothing of colours
    crop: bool = False  # the baseline that sees each region's box alone


def train_region_reader(
    options: ReaderTraining,
    looks: SceneLooks,
    *,
    directory: Path,
    log: Log | None = None,
    language: LanguageEncoder | None = None,
) -> Path:
    """Train a reader; return its checkpoint in `directory`. Resumes; done is done."""
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    torch.manual_seed(options.seed)
    network = RegionNetwork(options.network)
    batches = region_batches(
        looks,
        encode_phrases(language or LanguageEncoder()),
        batch_size=options.batch_size,
        seed=options.seed,
        hue_share=options.hue_share,
        crop=options.crop,
    )
    average = train_seeded(
        network, batches, options.training, directory=directory, seed=options.seed, log=log
    )
    about = {"seed": options.seed, "steps": options.training.steps, "looks": len(looks)} | {
        "crop": options.crop
    }
    return save(directory, average.cpu(), kind=KIND, config=asdict(options.network), metadata=about)


def encode_phrases(language: LanguageEncoder) -> LanguageTokens:
    """Return the tokens of all phrases, without the padding that none needs."""
    tokens = language.encode([phrase.text for phrase in all_phrases()])
    length = int(tokens.valid.any(dim=0).sum())
    return LanguageTokens(tokens=tokens.tokens[:, :length], valid=tokens.valid[:, :length])


def region_batches(
    looks: SceneLooks,
    phrases: LanguageTokens,
    *,
    batch_size: int,
    seed: int,
    hue_share: float = 0.0,
    crop: bool = False,
) -> ByStep[RegionBatch]:
    """Return batches as a function of the first step; that of a step depends on (seed, step)."""

    def make(step: int) -> RegionBatch:
        rng = np.random.default_rng([seed, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        samples = [_sample(looks, hue_share=hue_share, rng=rng) for _ in range(batch_size)]
        batch = region_batch(samples, phrases, rng=rng, generator=generator)
        return cropped(batch) if crop else batch

    return ByStep(make)


@dataclass(frozen=True)
class Sample:
    """A frame and all that is true of it."""

    frame: np.ndarray
    regions: tuple[TrueRegion, ...]
    relations: np.ndarray
    offsets: np.ndarray
    surfaces: np.ndarray


def sample_of(looks: SceneLooks, look: int, camera: int, *, flipped: bool = False) -> Sample:
    """Return one camera's frame of a look; mirrored, with left and right in their new places."""
    instances, parts = looks.instances[look, camera], looks.parts[look, camera]
    image, objects = looks.images[look, camera], looks.objects[look]
    if flipped:
        image, instances, parts = image[:, ::-1], instances[:, ::-1], parts[:, ::-1]
    regions = true_regions(instances, parts, objects)
    relations, offsets = true_pairs(regions, objects)
    if flipped:
        relations, offsets = mirrored(relations, offsets)
    surfaces = np.where(instances == 0, parts, 0)
    return Sample(image, regions, relations, offsets, surfaces)


def mirrored(relations: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return relations and offsets as a mirrored frame shows them."""
    names = list(vocabulary().relations)
    order = list(range(len(names)))
    left, right = names.index("left"), names.index("right")
    order[left], order[right] = right, left
    return relations[..., order], offsets * np.array([1, -1, 1], np.float32)


def _sample(looks: SceneLooks, *, hue_share: float, rng: np.random.Generator) -> Sample:
    look, camera = int(rng.integers(len(looks))), int(rng.integers(looks.images.shape[1]))
    sample = sample_of(looks, look, camera, flipped=bool(rng.random() < 0.5))
    if rng.random() < hue_share:
        frame, regions = in_other_hues(sample.frame, sample.regions, rng=rng)
        sample = replace(sample, frame=frame, regions=regions)
    return sample


def region_batch(
    samples: Sequence[Sample],
    phrases: LanguageTokens,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> RegionBatch:
    """Return samples as a batch, REGIONS_PER_FRAME of the regions of each, light, boxes and masks a
    little changed.
    """
    chosen = [_chosen(len(s.regions), rng=rng) for s in samples]
    regions = [[s.regions[k] for k in of] for s, of in zip(samples, chosen, strict=True)]
    true_masks, valid = _masks(regions, shape=samples[0].surfaces.shape)
    given = Regions(
        boxes=_jittered(boxes_of(true_masks), generator),
        masks=_edges(true_masks, rng=rng),
        has_mask=torch.from_numpy(rng.random(valid.shape) < MASK_SHARE),
        valid=valid,
    )
    asked, answers = _questions(samples, regions, rng=rng)
    return RegionBatch(
        frames=_frames(samples, generator),
        regions=given,
        true_masks=true_masks,
        attributes=_attributes(regions),
        relations=_pairs(samples, chosen, "relations"),
        offsets=_pairs(samples, chosen, "offsets"),
        phrases=phrases,
        asked=asked,
        answers=answers,
        dense=_dense(samples),
    )


def _chosen(count: int, *, rng: np.random.Generator) -> list[int]:
    return [int(k) for k in rng.permutation(count)[:REGIONS_PER_FRAME]]


def _masks(regions: Sequence[Sequence[TrueRegion]], *, shape: tuple) -> tuple[Tensor, Tensor]:
    masks = torch.zeros(len(regions), REGIONS_PER_FRAME, *shape)
    valid = torch.zeros(len(regions), REGIONS_PER_FRAME, dtype=torch.bool)
    for row, of_frame in enumerate(regions):
        for k, region in enumerate(of_frame):
            masks[row, k] = torch.from_numpy(np.ascontiguousarray(region.mask))
            valid[row, k] = True
    return masks, valid


def _jittered(boxes: Tensor, generator: torch.Generator) -> Tensor:
    sides = (boxes[..., 2:] - boxes[..., :2]).repeat(1, 1, 2)
    moved = 2 * torch.rand(boxes.shape, generator=generator) - 1
    return boxes + BOX_JITTER * sides * moved


def _edges(masks: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Make some masks a pixel wider or narrower; none vanishes."""
    changed = masks.clone()
    for row, k in np.argwhere(rng.random(masks.shape[:2]) < EDGE_SHARE):
        mask = masks[row, k][None, None]
        if rng.random() < 0.5:
            new = F.max_pool2d(mask, 3, stride=1, padding=1)
        else:
            new = 1 - F.max_pool2d(1 - mask, 3, stride=1, padding=1)
        if new.any():
            changed[row, k] = new[0, 0]
    return changed


def _frames(samples: Sequence[Sample], generator: torch.Generator) -> Tensor:
    images = torch.from_numpy(np.stack([s.frame for s in samples])).permute(0, 3, 1, 2)
    matrix, shift = colour_maps(LIGHT, len(images), generator)
    lit = torch.baddbmm(shift, matrix, images.flatten(2).float() / 255).view(images.shape)
    return (lit.clamp(0, 1) * 255).to(torch.uint8)


def _attributes(regions: Sequence[Sequence[TrueRegion]]) -> dict[str, Tensor]:
    shape = len(regions), REGIONS_PER_FRAME
    found = {kind: torch.full(shape, UNKNOWN) for kind in ATTRIBUTES}
    for row, of_frame in enumerate(regions):
        for k, region in enumerate(of_frame):
            for kind, index in region.indices().items():
                found[kind][row, k] = index
    return found


def _pairs(samples: Sequence[Sample], chosen: Sequence[Sequence[int]], name: str) -> Tensor:
    count = getattr(samples[0], name).shape[-1]
    shape = len(samples), REGIONS_PER_FRAME, REGIONS_PER_FRAME, count
    found = torch.full(shape, torch.nan)
    for row, (sample, of) in enumerate(zip(samples, chosen, strict=True)):
        values = getattr(sample, name)[np.ix_(of, of)]
        found[row, : len(of), : len(of)] = torch.from_numpy(values)
    return found


def _questions(
    samples: Sequence[Sample],
    regions: Sequence[Sequence[TrueRegion]],
    *,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    asked = torch.full((len(regions), REGIONS_PER_FRAME, QUESTIONS), UNKNOWN)
    for row, of_frame in enumerate(regions):
        for k, region in enumerate(of_frame):
            for q, drawn in enumerate(
                (
                    true_phrase(region, rng=rng),
                    false_phrase(region, samples[row].regions, rng=rng),
                )
            ):
                if drawn is not None:
                    asked[row, k, q] = drawn
    answers = torch.zeros(asked.shape, dtype=torch.bool)
    answers[..., 0] = True
    return asked, answers


def _dense(samples: Sequence[Sample]) -> DenseTargets:
    stride = STRIDES[DENSE]
    each = []
    for sample in samples:
        things = [r for r in sample.regions if r.granularity in PROPOSED]
        masks = np.zeros((len(things), *sample.surfaces.shape), np.float32)
        for k, region in enumerate(things):
            masks[k] = region.mask
        boxes = boxes_of(torch.from_numpy(masks)[None])[0] if things else torch.zeros(0, 4)
        kinds = torch.tensor([PROPOSED.index(r.granularity) for r in things], dtype=torch.long)
        coarse = np.ascontiguousarray(sample.surfaces[stride // 2 :: stride, stride // 2 :: stride])
        each.append(dense_targets(boxes, kinds, torch.from_numpy(coarse.astype(np.int64))))
    return DenseTargets(
        **{
            name: torch.cat([getattr(one, name) for one in each])
            for name in ("heat", "sides", "counts", "surfaces")
        }
    )
