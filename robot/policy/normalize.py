"""Normalisation statistics and the pair of maps that they define: physical units to [-1, 1] and
back.

Statistics are plain JSON: {"action": {"min": [7], "max": [7]}, "proprio": {"min": [10], "max":
[10]}}; more keys are ignored. Min-max and not mean-std, so that clipping a denoised action to [-1,
1] never cuts off actions that were demonstrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.types import ACTION_DIM, PROPRIO_DIM, InputError

Statistics = Mapping[str, Mapping[str, Sequence[float]]]
DIMENSIONS = {"action": ACTION_DIM, "proprio": PROPRIO_DIM}
# A dimension that moves less than this counts as constant: dividing by its range would turn sensor
# noise into signal.
SMALLEST_HALF_RANGE = {"action": 1e-4, "proprio": 1e-2}

UNIT = {
    key: {"min": [-1.0] * dim, "max": [1.0] * dim} for key, dim in DIMENSIONS.items()
}  # statistics that change nothing


def measure_statistics(
    *, actions: Float[Tensor, "n 7"], proprio: Float[Tensor, "n 10"]
) -> dict[str, dict[str, list[float]]]:
    """Return the smallest and largest value of every action and proprioception dimension (physical
    units).
    """
    columns = {"action": actions, "proprio": proprio}
    return {
        key: {"min": x.amin(0).tolist(), "max": x.amax(0).tolist()} for key, x in columns.items()
    }


def check_statistics(statistics: Statistics | None) -> dict[str, dict[str, list[float]]]:
    """Return the statistics as plain lists, reduced to what the policies use; raise InputError
    where they cannot be used.
    """
    if statistics is None:
        raise InputError(
            "got no normalisation statistics, expected {'action': {'min', 'max'}, 'proprio': "
            "{'min', 'max'}}: "
            "pass those of the training data (robot.policy.normalize.measure_statistics) or of the "
            "checkpoint"
        )
    return {
        key: {bound: _column(statistics, key, bound) for bound in ("min", "max")}
        for key in DIMENSIONS
    }


def _column(statistics: Statistics, key: str, bound: str) -> list[float]:
    values = [float(x) for x in statistics.get(key, {}).get(bound, ())]
    if len(values) != DIMENSIONS[key] or not torch.tensor(values).isfinite().all():
        raise InputError(
            f"got normalisation statistics with {len(values)} values for {key}.{bound}, expected "
            f"{DIMENSIONS[key]} finite "
            "numbers: measure them again on the training data"
        )
    return values


class MinMax(nn.Module):
    """Map each dimension of `key` from [min, max] to [-1, 1] and back. Statistics are buffers: they
    travel with the weights.
    """

    center: Tensor
    half_range: Tensor

    def __init__(self, *, statistics: Statistics, key: str):
        super().__init__()
        low, high = (
            torch.tensor(statistics[key][bound], dtype=torch.float32) for bound in ("min", "max")
        )
        if bool((low > high).any()):
            raise InputError(
                f"got {key} statistics with min above max, expected min <= max: measure them again"
            )
        self.register_buffer("center", (low + high) / 2)
        self.register_buffer("half_range", ((high - low) / 2).clamp(min=SMALLEST_HALF_RANGE[key]))

    def normalize(self, physical: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Map physical units to [-1, 1]; values outside the statistics land outside."""
        return (physical - self.center) / self.half_range

    def unnormalize(self, normalized: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Inverse of `normalize`."""
        return normalized * self.half_range + self.center
