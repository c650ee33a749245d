"""Frames in other hues: what a thing is called must not lean on its colour.

A combination of name and colour that was never shown is otherwise read as a name that this colour
often came with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from robot.perception.regions.truth import TrueRegion

GREY_SHARE = 0.3  # of the frames whose hues are changed
LEAST_TURN, LARGEST_TURN = math.pi / 4, 7 * math.pi / 4  # [rad] about the axis of greys


def in_other_hues(
    frame: UInt8[np.ndarray, "h w 3"],
    regions: Sequence[TrueRegion],
    *,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[TrueRegion, ...]]:
    """Return the frame with all hues turned by one angle, or in grey, and its regions without their
    colours: what these are called now is not known.
    """
    changed = (frame.astype(np.float32) @ random_turn(rng).T).clip(0, 255).astype(np.uint8)
    return changed, tuple(
        replace(region, words={**region.words, "colours": None}) for region in regions
    )


def random_turn(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Draw the matrix that gives colours another hue, or none."""
    saturation = 0.0 if rng.random() < GREY_SHARE else 1.0
    return turned(rng.uniform(LEAST_TURN, LARGEST_TURN), saturation=saturation)


def turned(angle_rad: float, *, saturation: float) -> Float[np.ndarray, "3 3"]:
    """Return the matrix that turns colours about the axis of greys (Rodrigues) and scales their
    distance from it.
    """
    grey = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(angle_rad) * (np.eye(3) - grey) + math.sin(angle_rad) * across
    return (grey + saturation * turn).astype(np.float32)
