"""Frames, boxes and masks of any size <-> the size that the network was trained at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from robot.perception.regions.sizes import STRIDES

HEIGHT = 128  # of the frames that the reader was trained on


@dataclass(frozen=True)
class Scaled:
    """A frame at HEIGHT pixels, its width a multiple of 16, and its size before [px]."""

    image: UInt8[np.ndarray, "h w 3"]
    original: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Return how much wider and higher the scaled frame is."""
        height, width = self.original
        return self.image.shape[1] / width, self.image.shape[0] / height


def scaled(image: UInt8[np.ndarray, "h w 3"]) -> Scaled:
    """Return a frame at the size of training; the shape of its pixels changes by a few percent at
    most.
    """
    height, width = image.shape[:2]
    coarse = STRIDES[-1]
    wide = max(1, round(HEIGHT * width / height / coarse)) * coarse
    if (height, width) == (HEIGHT, wide):
        return Scaled(image, (height, width))
    way = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
    return Scaled(cv2.resize(image, (wide, HEIGHT), interpolation=way), (height, width))


def box_on(
    box: tuple[float, float, float, float], small: Scaled
) -> tuple[float, float, float, float]:
    """Return a box of the frame in the scaled frame."""
    x, y = small.scale
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def mask_on(mask: Bool[np.ndarray, "h w"] | None, small: Scaled) -> Float32[np.ndarray, "_ _"]:
    """Return a mask as coverage of the scaled frame's pixels: no pixel of it is lost."""
    height, width = small.image.shape[:2]
    if mask is None:
        return np.zeros((height, width), np.float32)
    cover = mask.astype(np.float32)
    if cover.shape == (height, width):
        return cover
    return cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
