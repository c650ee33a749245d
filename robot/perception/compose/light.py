"""How much the light may change: numbers without torch, which robot.perception.compose.augment
draws from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Photometric:
    """Ranges of the light: each number is the largest change, of colours in [0, 1], drawn once per
    image.
    """

    brightness: float = 0.3  # factor 1 +- this
    contrast: float = 0.2  # factor 1 +- this, about mid-grey
    saturation: float = 0.2  # factor 1 +- this
    tint: float = 0.08  # factor 1 +- this, per colour channel
    offset: float = 0.05  # added


DEFAULT = Photometric()
