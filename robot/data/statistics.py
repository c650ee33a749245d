"""Mean, standard deviation, minimum and maximum of features, per episode and combined over
episodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

# image statistics come from a sample, as in LeRobot: reading every pixel would double the writing
# time
IMAGES_PER_EPISODE = 10


@dataclass(frozen=True)
class Statistics:
    """Statistics of `count` values of one feature; the arrays share the feature's shape (D,) or,
    for images, (C, 1, 1).
    """

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray
    count: int


def of_vectors(values: Shaped[np.ndarray, "t d"]) -> Statistics:
    """Return statistics over time of vectors (T, D), each (D,)."""
    wide = np.asarray(values, np.float64)
    return Statistics(
        mean=wide.mean(0), std=wide.std(0), min=wide.min(0), max=wide.max(0), count=len(wide)
    )


def of_images(images: UInt8[np.ndarray, "t h w *c"]) -> Statistics:
    """Return statistics per channel, in [0, 1] and shaped (C, 1, 1) as LeRobot wants them, from a
    sample of the T images.
    """
    chosen = (
        np.linspace(0, len(images) - 1, min(IMAGES_PER_EPISODE, len(images))).round().astype(int)
    )
    channels = 1 if images.ndim == 3 else images.shape[-1]
    pixels = images[chosen].reshape(-1, channels)
    histogram = np.stack(
        [np.bincount(pixels[:, channel], minlength=256) for channel in range(channels)]
    )
    levels, share = np.arange(256) / 255, histogram / len(pixels)
    mean = share @ levels
    std = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0))

    def column(values):
        return np.asarray(values, np.float64).reshape(channels, 1, 1)

    return Statistics(
        mean=column(mean),
        std=column(std),
        min=column(pixels.min(0) / 255),
        max=column(pixels.max(0) / 255),
        count=len(chosen),
    )


def combine(parts: Iterable[Statistics]) -> Statistics:
    """Return the statistics of the union of the parts (Chan et al. 1979, the parallel variance)."""
    parts = list(parts)
    counts = np.array([part.count for part in parts], np.float64)

    def average(values):
        return np.tensordot(counts, np.stack(list(values)), axes=1) / counts.sum()

    mean = average(part.mean for part in parts)
    variance = average(part.std**2 + (part.mean - mean) ** 2 for part in parts)
    return Statistics(
        mean=mean,
        std=np.sqrt(variance),
        min=np.min([part.min for part in parts], axis=0),
        max=np.max([part.max for part in parts], axis=0),
        count=int(counts.sum()),
    )


def to_json(statistics: Statistics) -> dict:
    """Return lists and a count list (LeRobot's spelling). `from_json` is the inverse."""
    arrays = {name: getattr(statistics, name).tolist() for name in ("mean", "std", "min", "max")}
    return {**arrays, "count": [statistics.count]}


def from_json(content: dict) -> Statistics:
    """Invert `to_json`."""
    arrays = {name: np.asarray(content[name], np.float64) for name in ("mean", "std", "min", "max")}
    return Statistics(**arrays, count=content["count"][0])
