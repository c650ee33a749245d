"""What goes wrong when a machine labels masks, made on purpose: the target's pixels of a label map,
moved, grown, lost.

The gripper stays in front. Every function returns a new label map (H, W).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from robot.types import Label

Labels = UInt8[np.ndarray, "h w"]
LEAST_SHIFT, MOST_SHIFT = 0.1, 0.3  # share of the frame's side
LEAST_GROWTH, MOST_GROWTH = 0.04, 0.1  # share of the frame's side
MOST_EROSION = 3  # pixels


def with_target(label: Labels, target: Bool[np.ndarray, "h w"]) -> Labels:
    """Draw another target in place of the one that is there; the gripper stays in front."""
    drawn = np.where(label == Label.TARGET, Label.BACKGROUND, label).astype(np.uint8)
    drawn[target & (drawn != Label.GRIPPER)] = Label.TARGET
    return drawn


def shifted(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Move the target by 10 to 30 % of the frame in any direction; what leaves the frame
    is lost.
    """
    del other
    distance, angle = rng.uniform(LEAST_SHIFT, MOST_SHIFT) * len(label), rng.uniform(0, 2 * np.pi)
    down, right = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    height, width = label.shape
    moved = np.zeros(label.shape, bool)
    rows, columns = np.nonzero(label == Label.TARGET)
    inside = (
        (rows + down >= 0)
        & (rows + down < height)
        & (columns + right >= 0)
        & (columns + right < width)
    )
    moved[rows[inside] + down, columns[inside] + right] = True
    return with_target(label, moved)


def dilated(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Grow the target on all sides."""
    del other
    radius = max(1, round(rng.uniform(LEAST_GROWTH, MOST_GROWTH) * len(label)))
    return with_target(label, cv2.dilate(_target(label), _square(radius)) > 0)


def eroded(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Shrink the target on all sides; a thin one is lost."""
    del other
    radius = int(rng.integers(1, MOST_EROSION + 1))
    return with_target(label, cv2.erode(_target(label), _square(radius)) > 0)


def wrong_object(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Take the target that another goal has in the same frame; without one, nothing changes."""
    del rng
    return label.copy() if other is None else with_target(label, other == Label.TARGET)


def empty(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Miss the target."""
    del other, rng
    return with_target(label, np.zeros(label.shape, bool))


def whole(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Call the whole image the target."""
    del other, rng
    return with_target(label, label != Label.DESTINATION)


Fault = Callable[[Labels, Labels | None, np.random.Generator], Labels]
FAULTS: tuple[Fault, ...] = (shifted, dilated, eroded, wrong_object, empty, whole)


def with_fault(label: Labels, other: Labels | None, rng: np.random.Generator) -> Labels:
    """Apply one fault, drawn from those that change this label: there is always one, since not all
    is target already.
    """
    for k in rng.permutation(len(FAULTS)):
        faulty = FAULTS[k](label, other, rng)
        if (faulty != label).any():
            return faulty
    return label.copy()


def _target(label: Labels) -> Labels:
    return (label == Label.TARGET).astype(np.uint8)


def _square(radius: int) -> np.ndarray:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
