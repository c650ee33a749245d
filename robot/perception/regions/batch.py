"""One training batch of the region head."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True)
class RegionBatch:
    """B looks through C cameras, the last F of which follow what an earlier look (`then`) showed;
    the others point at it in the look itself. Frames of a look lie side by side: N = B * C.
    """

    frames: UInt8[Tensor, "n 3 h w"]
    then: UInt8[Tensor, "m 3 h w"]  # m = F * C
    shown: Float[Tensor, "n r h w"]  # what identity is taken from, in `then` or in the look itself
    planes: Float[Tensor, "n r h w"]
    kinds: Int[Tensor, "n r"]
    truth: Bool[Tensor, "n 3 h w"]  # region 1, region 2, gripper
    visible: Float[Tensor, "n r"]

    def to(self, device: torch.device | str) -> Self:
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})
