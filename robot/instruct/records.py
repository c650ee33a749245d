"""What generators write: a question, its answer, and the masks that belong to both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

POINT_RADIUS_PX = 2  # of the disc that shows a point in a mask

Shown = tuple[tuple[int, int], ...]  # (image, id of a thing seen there), images from 0
Dots = tuple[tuple[int, int, int], ...]  # (image, x, y)


@dataclass(frozen=True, slots=True)
class Record:
    """One question about one or several images.

    `frames` are the images in the order in which the question counts them, as indices into the
    sequence that the generator was given. Masks are named, not drawn: instances, and points in
    them. `template` and `slots` make up `question`; `options` are empty for a short answer.
    """

    generator: str
    template: int
    slots: Mapping[str, str]
    question: str
    answer: str
    options: tuple[str, ...]
    frames: tuple[int, ...]
    answer_mask: Shown
    relevance_mask: Shown
    answer_points: Dots = ()
    margin: float | None = None  # by how much the truth is away from changing, in `unit`
    unit: str = ""


def drawn(
    shown: Shown,
    dots: Dots,
    *,
    id_maps: Sequence[np.ndarray],
) -> list[Bool[np.ndarray, "h w"]]:
    """Return one mask per image: the instances, and a disc around every point."""
    masks = []
    for image, ids in enumerate(id_maps):
        mask = np.zeros(ids.shape, bool)
        for k, number in shown:
            if k == image:
                mask |= ids == number
        for k, x, y in dots:
            if k == image:
                rows, columns = np.ogrid[: ids.shape[0], : ids.shape[1]]
                mask |= (rows - y) ** 2 + (columns - x) ** 2 <= POINT_RADIUS_PX**2
        masks.append(mask)
    return masks
