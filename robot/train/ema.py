"""Exponential moving average of weights: what is evaluated and deployed."""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_average(module: nn.Module) -> nn.Module:
    """Return a frozen copy of the module, to be moved by `update_average`."""
    return copy.deepcopy(module).eval().requires_grad_(False)


def decay_at(step: int, decay: float) -> float:
    """Return the decay of update `step` (0 is the first): small at first, so that the initial
    weights are soon forgotten.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, *, decay: float) -> None:
    """Set average = decay * average + (1 - decay) * module for parameters, and copy the buffers."""
    for kept, current in zip(average.parameters(), module.parameters(), strict=True):
        if kept is not current:  # frozen weights may be shared by both
            kept.lerp_(current, 1 - decay)
    for kept, current in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(current)
