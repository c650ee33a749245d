"""Looks that a reader of regions is measured on: what is true of them, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robot.data.scene_looks import SceneLooks
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.readings import Look
from robot.perception.regions.truth import TrueRegion, true_pairs, true_regions
from robot.types import Frame, Region

LEAST_PIXELS = 16  # of a region that is measured
SPLITS = ("seen", "held_out")


@dataclass(frozen=True)
class Scene:
    """One camera's frame, its true regions and how they relate, and what the reader makes of
    them.
    """

    frame: Frame
    regions: tuple[TrueRegion, ...]
    relations: np.ndarray
    offsets_m: np.ndarray
    look: Look


def read_scenes(
    reader: RegionReader,
    looks: SceneLooks,
    *,
    shuffled: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Scene]:
    """Read the true masks of every look; `shuffled` gives each region another one's mask."""
    scenes, cameras = [], looks.cameras
    for k in range(len(looks)):
        for c, camera in enumerate(cameras):
            regions = true_regions(
                looks.instances[k, c], looks.parts[k, c], looks.objects[k], least=LEAST_PIXELS
            )
            frame = Frame(camera, looks.images[k, c])
            masks = [r.mask for r in regions]
            if shuffled and len(masks) > 1:
                masks = masks[1:] + masks[:1]
            given = [Region(camera, mask=mask, index=i) for i, mask in enumerate(masks, start=1)]
            relations, offsets = true_pairs(regions, looks.objects[k])
            scenes.append(Scene(frame, regions, relations, offsets, reader.look(frame, given)))
        if progress:
            progress(k + 1, len(looks))
    return scenes


def things(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, int, TrueRegion]]:
    """Yield every object that has a combination of shape and colour."""
    for scene in scenes:
        for k, region in enumerate(scene.regions):
            if region.granularity == "object" and region.thing is not None:
                yield scene, k, region


def split_of(region: TrueRegion) -> str:
    return SPLITS[region.held_out]
