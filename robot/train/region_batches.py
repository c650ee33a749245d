"""Looks of scenes -> batches of the region head: what is pointed at, what was seen of it before.

A region is any object; where the scene holds copies of it, most often one of these, and the other
region is then often a copy as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, UInt8
from torch import Tensor

from robot.data.scene_looks import FIRST_OBJECT, GRIPPER, SceneLooks
from robot.perception.compose.augment import colour_maps
from robot.perception.compose.light import DEFAULT
from robot.perception.regions.batch import RegionBatch
from robot.perception.regions.head import ROLES
from robot.perception.regions.prompts import Prompt, disc, overlap
from robot.train.by_step import ByStep

VISIBLE_PIXELS = 6  # fewer than this is not there
POINT_SHARE = 0.35  # of the looks: something is pointed at in them; the others follow
POINTED_LOOKS = (0.6, 0.2, 0.2)  # which look of a sequence is pointed in
FOLLOWED_LOOKS = {(0, 1, 2): 0.55, (0, 0, 1): 0.2, (1, 1, 2): 0.1, (0, 2, 1): 0.15}
KINDS = {Prompt.BOX: 0.4, Prompt.CLICK: 0.3, Prompt.MASK: 0.3}
CAMERAS_GIVEN = ("first", "last", "both")
CAMERAS_SHARE = (0.5, 0.2, 0.3)
SECOND_SHARE = 0.6  # of the looks have a second region
COPY_SHARE = 0.6  # of the regions are one of several copies, where there are some
SECOND_COPY_SHARE = 0.3  # of the second regions are copies of the first
FORGOTTEN_SHARE = 0.08  # of what a camera knew
MISTAKEN_SHARE = 0.07  # of what the hand's own camera knew: another object's mask
BLIND_SHARE = 0.04  # of the looks lack a camera
NOISE = 0.03


@dataclass(frozen=True)
class Index:
    """Pixels (L, C, K) of every object in every look, and which objects are alike."""

    looks: SceneLooks
    pixels: Int[np.ndarray, "l c k"]
    firsts: Int[np.ndarray, " s"]  # the first look of each sequence
    alike: tuple[tuple[tuple[int, ...], ...], ...]  # per sequence: groups of copies


def index_of(looks: SceneLooks) -> Index:
    """Return where the objects of looks are."""
    most = max(len(objects) for objects in looks.objects)
    count, cameras = looks.instances.shape[:2]
    pixels = np.zeros((count, cameras, most), np.int64)
    for k in range(count):
        for c in range(cameras):
            found = np.bincount(looks.instances[k, c].ravel(), minlength=FIRST_OBJECT + most)
            pixels[k, c] = found[FIRST_OBJECT : FIRST_OBJECT + most]
    firsts = np.flatnonzero(looks.steps == 0)
    return Index(looks, pixels, firsts, tuple(_groups(looks.objects[k]) for k in firsts))


def _groups(objects) -> tuple[tuple[int, ...], ...]:
    by_look: dict[tuple, list[int]] = {}
    for number, thing in enumerate(objects):
        by_look.setdefault((thing.shape, thing.rgb), []).append(number)
    return tuple(tuple(group) for group in by_look.values() if len(group) > 1)


def region_batches(index: Index, *, batch_size: int, seed: int) -> ByStep[RegionBatch]:
    """Return batches as a function of the first step; a step's batch depends on (seed, step)."""

    def make(step: int) -> RegionBatch:
        return batch_of(index, size=batch_size, rng=np.random.default_rng([seed, step]))

    return ByStep(make)


@dataclass
class _Sample:
    """One look to be: which looks it is made of, and what is known of each region."""

    now: int
    then: int
    shown: Float32[np.ndarray, "c r h w"]
    planes: Float32[np.ndarray, "c r h w"]
    kinds: Int[np.ndarray, "c r"]
    truth: Bool[np.ndarray, "c 3 h w"]
    visible: Float32[np.ndarray, "c r"]
    blind: int | None = None


def batch_of(
    index: Index, *, size: int, rng: np.random.Generator, augment: bool = True
) -> RegionBatch:
    """Return a batch of `size` looks drawn by `rng`."""
    points = max(1, round(POINT_SHARE * size))
    samples = [draw_sample(index, follow=k >= points, rng=rng) for k in range(size)]
    return collate(index, samples, followed=size - points, rng=rng if augment else None)


def draw_sample(index: Index, *, follow: bool, rng: np.random.Generator) -> _Sample:
    """Draw a look, and one or two regions of it that could be seen when they were pointed at."""
    while True:
        place = int(rng.integers(len(index.firsts)))
        first = int(index.firsts[place])
        if follow:
            options = list(FOLLOWED_LOOKS)
            steps = options[rng.choice(len(options), p=list(FOLLOWED_LOOKS.values()))]
        else:
            steps = (int(rng.choice(3, p=POINTED_LOOKS)),) * 3
        then, before, now = (first + step for step in steps)
        seen = np.flatnonzero((index.pixels[then] >= VISIBLE_PIXELS).any(axis=0))
        if len(seen):
            break
    chosen = _objects(index.alike[place], seen, rng=rng)
    sample = _empty(index, now=now, then=then)
    for role, thing in enumerate(chosen):
        value = FIRST_OBJECT + thing
        sample.truth[:, role] = index.looks.instances[now] == value
        sample.visible[:, role] = index.pixels[now, :, thing] >= VISIBLE_PIXELS
        if follow:
            _know(index, sample, role=role, thing=thing, before=before, rng=rng)
        else:
            _point(index, sample, role=role, thing=thing, rng=rng)
    if rng.random() < BLIND_SHARE:
        _blind(sample, int(rng.integers(len(index.looks.cameras))))
    return sample


def _objects(
    alike: tuple[tuple[int, ...], ...], seen: np.ndarray, *, rng: np.random.Generator
) -> list[int]:
    """Draw one or two different objects of those that are seen."""
    visible = {int(thing) for thing in seen}
    groups = [kept for group in alike if (kept := [k for k in group if k in visible])]
    if groups and rng.random() < COPY_SHARE:
        group = groups[rng.integers(len(groups))]
        first = group[rng.integers(len(group))]
    else:
        first = int(seen[rng.integers(len(seen))])
    others = sorted(visible - {first})
    if not others or rng.random() > SECOND_SHARE:
        return [first]
    copies = [k for group in groups if first in group for k in group if k != first]
    pool = copies if copies and rng.random() < SECOND_COPY_SHARE else others
    return [first, int(pool[rng.integers(len(pool))])]


def _empty(index: Index, *, now: int, then: int) -> _Sample:
    instances = index.looks.instances[now]
    cameras, height, width = instances.shape
    truth = np.zeros((cameras, ROLES + 1, height, width), bool)
    truth[:, ROLES] = instances == GRIPPER
    return _Sample(
        now=now,
        then=then,
        shown=np.zeros((cameras, ROLES, height, width), np.float32),
        planes=np.zeros((cameras, ROLES, height, width), np.float32),
        kinds=np.zeros((cameras, ROLES), np.int64),
        truth=truth,
        visible=np.zeros((cameras, ROLES), np.float32),
    )


def _point(
    index: Index, sample: _Sample, *, role: int, thing: int, rng: np.random.Generator
) -> None:
    """Point at a thing that is visible in one camera or in both, in one way."""
    kind = Prompt(int(rng.choice([int(k) for k in KINDS], p=list(KINDS.values()))))
    seen = np.flatnonzero(index.pixels[sample.now, :, thing] >= VISIBLE_PIXELS)
    given = {"first": seen[:1], "last": seen[-1:], "both": seen}
    for camera in given[str(rng.choice(CAMERAS_GIVEN, p=CAMERAS_SHARE))]:
        mask = index.looks.instances[sample.now, camera] == FIRST_OBJECT + thing
        sample.planes[camera, role] = pointed(mask, kind, rng=rng)
        sample.kinds[camera, role] = kind
        sample.shown[camera, role] = sample.planes[camera, role]


def pointed(
    mask: Bool[np.ndarray, "h w"], kind: Prompt, *, rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Return the plane of a person's box, click or mask of a thing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if kind is Prompt.BOX:
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        off = rng.normal(0.0, 0.06, 4).clip(-0.12, 0.12)
        high, wide = bottom - top, right - left
        return np.outer(
            overlap(top + off[0] * high, bottom + off[1] * high, len(mask)),
            overlap(left + off[2] * wide, right + off[3] * wide, mask.shape[1]),
        )
    if kind is Prompt.CLICK:
        inner = _eroded(mask.astype(np.uint8))
        ys, xs = np.nonzero(inner if inner.any() else mask)
        k = rng.integers(len(ys))
        return disc(xs[k] + rng.random(), ys[k] + rng.random(), (len(mask), mask.shape[1]))
    return wobbled(mask, rng=rng)


def wobbled(
    mask: Bool[np.ndarray, "h w"], *, rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Return a mask as imperfect as a network's: a pixel wider or narrower, up to two aside."""
    plane = mask.astype(np.uint8)
    change = rng.random()
    if change < 0.2:
        plane = cv2.dilate(plane, np.ones((3, 3), np.uint8))
    elif change < 0.4:
        thinner = _eroded(plane)
        plane = thinner if thinner.any() else plane
    down, right = rng.integers(-2, 3, 2) if rng.random() < 0.4 else (0, 0)
    shift = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    moved = cv2.warpAffine(plane, shift, plane.shape[::-1]) if down or right else plane
    return moved.astype(np.float32)


def _eroded(mask: UInt8[np.ndarray, "h w"]) -> np.ndarray:
    """Return a mask a pixel narrower, at the frame's border too."""
    return cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=(0.0,))


def _know(
    index: Index,
    sample: _Sample,
    *,
    role: int,
    thing: int,
    before: int,
    rng: np.random.Generator,
) -> None:
    """Remember a thing's masks of the look before, else of the look in which it was pointed at."""
    value, pixels, instances = FIRST_OBJECT + thing, index.pixels, index.looks.instances
    cameras = len(index.looks.cameras)
    alone = int(rng.integers(cameras)) if rng.random() < 0.1 else None
    for camera in range(cameras):
        at_first = pixels[sample.then, camera, thing] >= VISIBLE_PIXELS
        if at_first and alone in (None, camera):
            sample.shown[camera, role] = wobbled(instances[sample.then, camera] == value, rng=rng)
        if rng.random() < FORGOTTEN_SHARE:
            continue
        if pixels[before, camera, thing] >= VISIBLE_PIXELS:
            seen, kind = before, Prompt.BEFORE
        elif at_first:
            seen, kind = sample.then, Prompt.EARLIER
        else:
            continue
        shown = value
        if camera == cameras - 1 and rng.random() < MISTAKEN_SHARE:
            others = np.flatnonzero(pixels[seen, camera] >= VISIBLE_PIXELS)
            shown = FIRST_OBJECT + int(others[rng.integers(len(others))])
        sample.planes[camera, role] = wobbled(instances[seen, camera] == shown, rng=rng)
        sample.kinds[camera, role] = kind


def _blind(sample: _Sample, camera: int) -> None:
    """Take a camera away, unless it is the only one that was pointed in."""
    others = np.delete(sample.shown, camera, axis=0)
    used = sample.shown.any(axis=(0, 2, 3))
    if (others.any(axis=(0, 2, 3)) != used).any():
        return
    sample.blind = camera
    for array in (sample.shown, sample.planes, sample.kinds, sample.truth, sample.visible):
        array[camera] = 0


def collate(
    index: Index, samples: list[_Sample], *, followed: int, rng: np.random.Generator | None
) -> RegionBatch:
    """Return samples as a batch, the last `followed` of them with their earlier looks; `rng`
    changes the light, of both looks alike.
    """
    images = index.looks.images
    now = np.stack([_frames(images[s.now], s.blind) for s in samples])
    late = samples[len(samples) - followed :]
    then = np.stack([_frames(images[s.then], s.blind) for s in late]) if late else now[:0]
    frames, earlier = (torch.from_numpy(x).flatten(0, 1).permute(0, 3, 1, 2) for x in (now, then))
    if rng is not None:
        frames, earlier = _relit(frames, earlier, rng=rng)

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(s, name) for s in samples]))

    return RegionBatch(
        frames=frames.contiguous(),
        then=earlier.contiguous(),
        shown=joined("shown"),
        planes=joined("planes"),
        kinds=joined("kinds"),
        truth=joined("truth"),
        visible=joined("visible"),
    )


def _frames(images: np.ndarray, blind: int | None) -> np.ndarray:
    if blind is None:
        return images
    return np.where(np.arange(len(images))[:, None, None, None] == blind, 0, images).astype(
        np.uint8
    )


def _relit(frames: Tensor, then: Tensor, *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Show both looks in another light, and with noise of their own."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    matrix, shift = colour_maps(DEFAULT, len(frames), generator)

    def relit(pictures: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
        flat = torch.baddbmm(shift, matrix, pictures.float().div(255).flatten(2))
        deviation = NOISE * torch.rand(len(flat), 1, 1, generator=generator)
        noise = torch.rand(flat.shape, generator=generator).sub_(0.5).mul_(12.0**0.5)
        changed = flat.addcmul_(deviation, noise).mul_(255).round_().clamp_(0, 255)
        return changed.to(torch.uint8).view_as(pictures)

    last = len(frames) - len(then)
    return relit(frames, matrix, shift), relit(then, matrix[last:], shift[last:])
