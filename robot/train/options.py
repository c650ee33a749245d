"""Sections of a config that say how something is trained, parsed without torch."""

from __future__ import annotations

from typing import Literal

from robot.errors import InputError
from robot.perception.compose.light import Photometric
from robot.system.parse import (
    Count,
    NotNegative,
    NotNegativeNumber,
    Positive,
    Seed,
    Share,
    options,
)


@options
class Training:
    """How long and how a module is trained. `device` None picks cuda, mps or cpu."""

    steps: Count
    learning_rate: Positive = 1e-3
    weight_decay: NotNegativeNumber = 1e-2
    warmup_steps: NotNegative = 100
    ema_decay: Share = 0.995
    grad_clip: Positive = 1.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    device: str | None = None
    checkpoint_every: Count = 500
    log_every: Count = 20


@options
class Augmentation:
    """How composites are changed in training: robot.perception.compose.augment.CompositeAugment.

    `backgrounds` is the share of unmasked frames with pictures pasted behind robot and objects.
    """

    jitter: Photometric | None
    ring: Share
    shift: NotNegative
    drop: Share
    noise: NotNegativeNumber
    backgrounds: Share = 0.0


@options
class Grounding:
    """How a policy on whole frames is told where the goal's objects are: by a loss of `weight`
    beside its own (robot.policy.grounding). Before that its encoder learns it on mask frames, for
    `frame_steps` steps.
    """

    weight: Positive
    frame_steps: NotNegative = 0


@options
class Relocation:
    """`copies` of every demonstration; their targets lie anywhere in `x_m` by `y_m`, base frame."""

    copies: Count
    x_m: tuple[float, float]
    y_m: tuple[float, float]
    seed: Seed = 0

    def __post_init__(self) -> None:
        for name, (low, high) in (("x_m", self.x_m), ("y_m", self.y_m)):
            if not low < high:
                raise InputError(
                    f"got relocate.{name}=[{low}, {high}], expected low < high, in metres of the "
                    "arm's base frame"
                )
