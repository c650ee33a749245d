"""From how far a stick or cap is pushed to how fast something moves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def shaped(deflection: Float64[np.ndarray, " n"], *, dead_zone: float) -> Float64[np.ndarray, " n"]:
    """Return deflections in [-1, 1] with none within the dead zone, growing from 0 at its edge, and
    finer near it: squared.
    """
    beyond = np.clip((np.abs(deflection) - dead_zone) / max(1 - dead_zone, 1e-9), 0.0, 1.0)
    return np.sign(deflection) * beyond**2
