"""Regions in calibrated cameras: prompts are drawn where places project, masks beside them are
rejected, and what is seen refines the places.

The table's things rest, but for the one that the hand has, which moves as a camera on the hand
does; which of the two is so is what the masks agree with better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from robot.perception.regions.head import Prompts
from robot.perception.regions.places import (
    Place,
    Spot,
    carried,
    outline_of,
    place_on_table,
    project,
    refined,
    rested,
    scaled,
    warp_between,
)
from robot.perception.regions.prompts import Prompt, overlap
from robot.types import Frame, Viewpoint

REACH_M = 0.06  # from where a thing should be to the middle of a mask that is accepted as it
LARGER, WINDOW = 1.6, 1.3  # a mask so many times larger than its thing is cut off around it
HAND_M = 0.2  # between a camera on the hand and what the hand has
MOVED_M = 0.03  # that a thing was moved whose mask is unlikely where it should be
EDGE_PX = 2  # around the pixels of an accepted mask
Viewpoints = tuple[Viewpoint | None, ...]
Places = tuple[Place | None, ...]


@dataclass(frozen=True)
class Located:
    """Where regions were at the last look, from where it was taken, and whether the hand had the
    target.
    """

    places: Places
    viewpoints: Viewpoints
    held: bool = False

    @property
    def is_useful(self) -> bool:
        """Return whether anything is known of where a region is."""
        return any(place is not None for place in self.places)


def viewpoints_of(frames: Sequence[Frame], size: tuple[int, int], *, cameras: int) -> Viewpoints:
    """Return the viewpoints of frames resized to `size`, None where a camera has none."""
    found = [
        f.viewpoint and scaled(f.viewpoint, own=(f.image.shape[0], f.image.shape[1]), size=size)
        for f in frames
    ]
    return (*found, *[None] * (cameras - len(found)))


def located_by(
    masks: Float32[np.ndarray, "c r h w"],
    prompts: Prompts,
    viewpoints: Viewpoints,
) -> Located:
    """Return where regions are by their outlines in the cameras that they were given in."""
    places: list[Place | None] = []
    for role in range(masks.shape[1]):
        place = None
        for camera, viewpoint in enumerate(viewpoints):
            if viewpoint is None or not prompts.kinds[camera, role]:
                continue
            outline = outline_of(masks[camera, role])
            outline = outline or outline_of(prompts.planes[camera, role].numpy())
            if outline is None:
                continue
            if place is None:
                place = place_on_table(outline, viewpoint)
            else:
                place = refined(place, outline, viewpoint)
        places.append(place)
    return Located(tuple(places), viewpoints)


def expected(known: Located, viewpoints: Viewpoints) -> list[Located]:
    """Return where regions may be now: at rest, or the target as the hand has moved. The first is
    as it was at the last look; another is only there where it makes a difference.
    """
    rest = tuple(None if place is None else rested(place) for place in known.places)
    at_rest = Located(rest, viewpoints)
    hand = next(
        (
            (before, now)
            for before, now in zip(known.viewpoints, viewpoints, strict=True)
            if before is not None and now is not None and now.on_hand
        ),
        None,
    )
    target = known.places[0]
    if hand is None or target is None or _away(target, hand[0]) > HAND_M:
        return [at_rest]
    in_hand = Located((carried(target, *hand), *rest[1:]), viewpoints, held=True)
    return [in_hand, at_rest] if known.held else [at_rest, in_hand]


def _away(place: Place, viewpoint: Viewpoint) -> float:
    return float(np.linalg.norm(place.middle_m - viewpoint.T_table_camera[:3, 3]))


def pointed_elsewhere(guess: Located, prompts: Prompts) -> Prompts:
    """Return prompts with boxes in the cameras that regions were not given in."""
    planes, kinds = prompts.planes.clone(), prompts.kinds.clone()
    for camera, role, place, viewpoint in _known_pairs(guess):
        if not kinds[camera, role]:
            planes[camera, role], kinds[camera, role] = _box_at(place, viewpoint, planes)
    return Prompts(planes, kinds)


def moved_prompts(guess: Located, prompts: Prompts, known: Located) -> Prompts:
    """Return prompts where regions should be now: their masks of the look before, moved as camera
    and thing have, else boxes. Cameras without a viewpoint keep theirs.
    """
    planes, kinds = prompts.planes.clone(), prompts.kinds.clone()
    for camera, role, place, viewpoint in _known_pairs(guess):
        box, kind = _box_at(place, viewpoint, planes)
        before, then = known.viewpoints[camera], known.places[role]
        warp = None
        if kind and kinds[camera, role] == Prompt.BEFORE and before is not None:
            assert then is not None  # a place never comes out of nowhere
            warp = warp_between(then, before, place, viewpoint)
        if warp is None:
            planes[camera, role], kinds[camera, role] = box, kind
        else:
            moved = cv2.warpAffine(planes[camera, role].numpy(), warp, planes.shape[:1:-1])
            planes[camera, role] = torch.from_numpy(moved)
    return Prompts(planes, kinds)


def _known_pairs(guess: Located) -> Iterator[tuple[int, int, Place, Viewpoint]]:
    """Yield (camera, role, place, viewpoint) where both are known."""
    for camera, viewpoint in enumerate(guess.viewpoints):
        for role, place in enumerate(guess.places):
            if viewpoint is not None and place is not None:
                yield camera, role, place, viewpoint


def _box_at(place: Place, viewpoint: Viewpoint, planes: Tensor) -> tuple[Tensor, int]:
    """Return a box around a place and its kind; nothing where the camera should not see it."""
    height, width = planes.shape[2:]
    spot = project(place, viewpoint)
    if spot is None or not spot.inside((height, width)):
        return torch.zeros(height, width), int(Prompt.NONE)
    rows = overlap(spot.y - spot.radius, spot.y + spot.radius, height)
    columns = overlap(spot.x - spot.radius, spot.x + spot.radius, width)
    return torch.from_numpy(np.outer(rows, columns)), int(Prompt.BOX)


@dataclass(frozen=True)
class Accepted:
    """Which pixels of masks may be the regions, and how well they agree with where these should
    be, 0 to 1.
    """

    pixels: Bool[np.ndarray, "c r h w"]
    agreement: Float32[np.ndarray, "c r"]


def accept(guess: Located, masks: Float32[np.ndarray, "c r h w"]) -> Accepted:
    """Return the parts of masks that lie where the regions should be."""
    pixels = np.ones(masks.shape, bool)
    agreement = np.ones(masks.shape[:2], np.float32)
    for camera, role, place, viewpoint in _known_pairs(guess):
        spot = project(place, viewpoint)
        kept, agreed = np.zeros(masks.shape[2:], bool), 0.0
        if spot is not None and spot.inside((masks.shape[2], masks.shape[3])):
            kept, agreed = _near(masks[camera, role], spot)
        pixels[camera, role], agreement[camera, role] = kept, agreed
    return Accepted(pixels, agreement)


def _near(mask: Float32[np.ndarray, "h w"], spot: Spot) -> tuple[Bool[np.ndarray, "h w"], float]:
    """Return the pieces of a mask at a spot, where one lies near enough, and how near, 0 to 1."""
    count, pieces, boxes, middles = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8))
    nothing = np.zeros(mask.shape, bool)
    if count < 2:
        return nothing, 0.0
    away = np.hypot(middles[1:, 0] + 0.5 - spot.x, middles[1:, 1] + 0.5 - spot.y)
    reach = REACH_M * spot.per_m + 2 * spot.sigma
    if away.min() > reach:
        return nothing, 0.0
    kept = np.isin(pieces, 1 + np.flatnonzero(away <= max(away.min(), spot.radius)))
    size = np.ones((2 * EDGE_PX + 1,) * 2, np.uint8)
    near = (cv2.dilate(kept.astype(np.uint8), size) > 0) & (kept | (pieces == 0))
    nearest = boxes[1 + int(away.argmin())]
    if max(nearest[cv2.CC_STAT_WIDTH], nearest[cv2.CC_STAT_HEIGHT]) > 2 * LARGER * spot.radius:
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        around = np.hypot(columns + 0.5 - spot.x, rows + 0.5 - spot.y)
        near &= around <= WINDOW * spot.radius + spot.sigma
    return near, 1 - float(away.min()) / (2 * reach)


def settle(guess: Located, masks: Float32[np.ndarray, "c r h w"]) -> Located:
    """Return where regions are by where they should be and their accepted masks."""
    places = list(guess.places)
    height, width = masks.shape[2:]
    for camera, role, _, viewpoint in _known_pairs(guess):
        place, outline = places[role], outline_of(masks[camera, role])
        assert place is not None
        spot = project(place, viewpoint)
        if spot is None or outline is None or not outline.inside(width, height):
            continue
        if np.hypot(outline.x - spot.x, outline.y - spot.y) > spot.unlikely:
            place = replace(place, covariance=place.covariance + MOVED_M**2 * np.eye(3))
        places[role] = refined(place, outline, viewpoint)
    return replace(guess, places=tuple(places))
