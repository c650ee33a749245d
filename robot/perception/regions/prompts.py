"""Boxes, clicks and masks as planes that a network reads: how much of each pixel they cover, and
what kind of instruction they are.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from jaxtyping import Float32

from robot.types import Region

CLICK_RADIUS_PX = 2.0  # at the head's own resolution


class Prompt(IntEnum):
    """What a plane says about the thing it shows."""

    NONE = 0  # nothing is known in this camera
    BOX = 1
    CLICK = 2
    MASK = 3
    BEFORE = 4  # its mask one look ago
    EARLIER = 5  # its mask when this camera last saw it, longer ago


def plane_of(
    region: Region | None, *, own: tuple[int, int], size: tuple[int, int]
) -> tuple[Float32[np.ndarray, "h w"], Prompt]:
    """Return the coverage of every pixel of a (height, width) `size` by a region that was given in
    a frame of `own` size, and its kind. Of several instructions the most exact counts: mask, box,
    click.
    """
    if region is None:
        return np.zeros(size, np.float32), Prompt.NONE
    down, right = size[0] / own[0], size[1] / own[1]
    if region.mask is not None:
        return area_shrunk(region.mask.astype(np.float32), size), Prompt.MASK
    if region.box is not None:
        x0, y0, x1, y1 = region.box
        rows = overlap(y0 * down, y1 * down, size[0])
        columns = overlap(x0 * right, x1 * right, size[1])
        return np.outer(rows, columns), Prompt.BOX
    assert region.click is not None
    x, y = region.click
    return disc(x * right, y * down, size), Prompt.CLICK


def overlap(start: float, end: float, count: int) -> Float32[np.ndarray, " count"]:
    """Return how much of each of `count` cells of length 1 lies between start and end."""
    edges = np.clip(np.arange(count + 1), start, end)
    return np.diff(edges).astype(np.float32)


def disc(x: float, y: float, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Return a disc around a click; the pixel that was clicked is always covered."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    covered = np.hypot(columns - x, rows - y) <= CLICK_RADIUS_PX
    covered[min(int(max(y, 0)), size[0] - 1), min(int(max(x, 0)), size[1] - 1)] = True
    return covered.astype(np.float32)


def area_shrunk(
    plane: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "a b"]:
    """Return a plane at another size: every cell gets the mean over the area that it covers, so
    that nothing that was there vanishes.
    """
    if plane.shape == size:
        return plane
    rows, columns = (_cells(own, new) for own, new in zip(plane.shape, size, strict=True))
    return (rows @ plane @ columns.T).astype(np.float32)


def _cells(own: int, new: int) -> Float32[np.ndarray, "new own"]:
    """Return the share of each of `own` pixels in each of `new` cells, rows that sum to 1."""
    edges = np.linspace(0, own, new + 1)
    return np.stack(
        [overlap(a, b, own) / (b - a) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    )
