"""Normalisation statistics and the pair of maps that they define: physical units to [-1, 1] and
back.

Statistics are plain JSON: {"action": {"min": [A], "max": [A]}, "proprio": {"min": [S], "max":
[S]}}; more keys are ignored. They say how many actions A and state values S a policy has. Min-max
and not mean-std, so that clipping a denoised action to [-1, 1] never cuts off actions that were
demonstrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.types import InputError

Statistics = Mapping[str, Mapping[str, Sequence[float]]]
# A dimension that moves less than this counts as constant: dividing by its range would turn sensor
# noise into signal.
SMALLEST_HALF_RANGE = {"action": 1e-4, "proprio": 1e-2}


def unit_statistics(*, action: int, proprio: int) -> dict[str, dict[str, list[float]]]:
    """Return statistics of so many dimensions that change nothing."""
    dimensions = {"action": action, "proprio": proprio}
    return {key: {"min": [-1.0] * n, "max": [1.0] * n} for key, n in dimensions.items()}


def measure_statistics(
    *, actions: Float[Tensor, "n a"], proprio: Float[Tensor, "n s"]
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
    return {key: _bounds(statistics, key) for key in SMALLEST_HALF_RANGE}


def _bounds(statistics: Statistics, key: str) -> dict[str, list[float]]:
    of_key = statistics.get(key, {})
    bounds = {name: [float(x) for x in of_key.get(name, ())] for name in ("min", "max")}
    low, high = bounds["min"], bounds["max"]
    if not len(low) == len(high) > 0 or not torch.tensor(low + high).isfinite().all():
        raise InputError(
            f"got normalisation statistics with {len(low)} values for {key}.min and {len(high)} "
            f"for {key}.max, expected as many finite numbers in both, one per dimension: measure "
            "them again on the training data"
        )
    return bounds


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

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.center)

    def normalize(self, physical: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Map physical units to [-1, 1]; values outside the statistics land outside."""
        return (physical - self.center) / self.half_range

    def unnormalize(self, normalized: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Inverse of `normalize`."""
        return normalized * self.half_range + self.center
