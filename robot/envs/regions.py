"""What a region of a goal lies on in a simulator."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from robot.types import Region


def overlaps(region: Region, instances: Int[np.ndarray, "h w"]) -> dict[int, float]:
    """Return how well a region fits every instance that it touches: intersection over union of
    their pixels.
    """
    covered = np.zeros(instances.shape, bool)
    if region.mask is not None:
        covered |= region.mask
    else:
        x0, y0, x1, y1 = (round(v) for v in region.bounds)
        covered[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    touched, counts = np.unique(instances[covered], return_counts=True)
    return {
        int(instance): float(count / ((instances == instance) | covered).sum())
        for instance, count in zip(touched, counts, strict=True)
        if instance >= 0
    }
