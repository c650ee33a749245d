"""Mean, standard deviation, minimum, maximum and quantiles of features, per episode and combined
over episodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped, UInt8

# image statistics come from a sample, as in LeRobot: reading every pixel would double the writing
# time
IMAGES_PER_EPISODE = 10
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}  # LeRobot's names


@dataclass(frozen=True)
class Statistics:
    """Statistics of `count` values of one feature; the arrays share the feature's shape (D,) or,
    for images, (C, 1, 1). `quantiles` are those of QUANTILES by name, none in files from before
    they were written.
    """

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray
    count: int
    quantiles: Mapping[str, np.ndarray] = field(default_factory=dict)


def of_vectors(values: Shaped[np.ndarray, "t d"]) -> Statistics:
    """Return statistics over time of vectors (T, D), each (D,)."""
    wide = np.asarray(values, np.float64)
    levels = np.quantile(wide, list(QUANTILES.values()), axis=0)
    return Statistics(
        mean=wide.mean(0),
        std=wide.std(0),
        min=wide.min(0),
        max=wide.max(0),
        count=len(wide),
        quantiles=dict(zip(QUANTILES, levels, strict=True)),
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

    cumulated = share.cumsum(axis=1)

    def column(values):
        return np.asarray(values, np.float64).reshape(channels, 1, 1)

    return Statistics(
        mean=column(mean),
        std=column(std),
        min=column(pixels.min(0) / 255),
        max=column(pixels.max(0) / 255),
        count=len(chosen),
        quantiles={
            name: column((cumulated >= level - 1e-9).argmax(axis=1) / 255)
            for name, level in QUANTILES.items()
        },
    )


def combine(parts: Iterable[Statistics]) -> Statistics:
    """Return the statistics of the union of the parts (Chan et al. 1979, the parallel variance).

    Quantiles are averaged over the parts by their counts, which is LeRobot's own approximation;
    those that a part lacks are left out.
    """
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
        quantiles={
            name: average(part.quantiles[name] for part in parts)
            for name in QUANTILES
            if all(name in part.quantiles for part in parts)
        },
    )


def to_json(statistics: Statistics) -> dict:
    """Return lists and a count list (LeRobot's spelling). `from_json` is the inverse."""
    arrays = {name: getattr(statistics, name).tolist() for name in ("mean", "std", "min", "max")}
    quantiles = {name: values.tolist() for name, values in statistics.quantiles.items()}
    return {**arrays, "count": [statistics.count], **quantiles}


def from_json(content: dict) -> Statistics:
    """Invert `to_json`."""
    arrays = {name: np.asarray(content[name], np.float64) for name in ("mean", "std", "min", "max")}
    quantiles = {
        name: np.asarray(content[name], np.float64) for name in QUANTILES if name in content
    }
    return Statistics(**arrays, count=content["count"][0], quantiles=quantiles)
