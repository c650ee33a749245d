"""Mask sources that go wrong on purpose: each wraps another source, and what a policy does then is
what is measured.

A fault is silent: it changes the masks and leaves presence, predicted IoU and status as the source
said them, because a fault that announces itself only makes the agent wait. Randomness comes from
the generator that is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch.nn import functional as F

from robot.perception.names import at_least_one, check_share
from robot.perception.sources import MaskSource, RandomMasks
from robot.types import MASK_CHANNELS, Frame, Goal, InputError, Label, Mask

TARGET = MASK_CHANNELS.index(Label.TARGET)  # of the channel axis
Masks = tuple[Float32[np.ndarray, "3 _ _"], ...]  # one per frame
LabelMaps = Callable[[], Mapping[str, UInt8[np.ndarray, "h w"]]]


class FaultyMasks:
    """What all faults share: the source they wrap, the chance `share` per call that they strike,
    and the generator.
    """

    def __init__(self, source: MaskSource, *, rng: np.random.Generator, share: float = 1.0) -> None:
        check_share(share)
        self.source, self.rng, self.share = source, rng, share

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        mask = self.source(frames, goal)
        if self.rng.random() >= self.share:
            return mask
        return replace(mask, probability=self.broken(mask.probability, frames))

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw from `rng` from now on, and let the wrapped source do so too."""
        self.rng = rng
        if isinstance(self.source, RandomMasks):
            self.source.reseed(rng)

    def broken(self, probability: Masks, frames: Sequence[Frame]) -> Masks:
        """Return what the masks become where the fault strikes; the input is not changed."""
        raise NotImplementedError


class DroppedMasks(FaultyMasks):
    """Lose the target: its channel is empty in every camera."""

    def broken(self, probability: Masks, frames: Sequence[Frame]) -> Masks:
        del frames
        return tuple(_with_target(roles, np.zeros_like(roles[TARGET])) for roles in probability)


class ShiftedMasks(FaultyMasks):
    """Move all masks by `pixels` in one direction, drawn per call; what comes in over the border is
    empty.
    """

    def __init__(
        self, source: MaskSource, *, rng: np.random.Generator, share: float = 1.0, pixels: int = 6
    ) -> None:
        super().__init__(source, rng=rng, share=share)
        self.pixels = at_least_one(pixels, "pixels")

    def broken(self, probability: Masks, frames: Sequence[Frame]) -> Masks:
        del frames
        angle = self.rng.uniform(0.0, 2.0 * np.pi)
        down, right = round(self.pixels * np.sin(angle)), round(self.pixels * np.cos(angle))
        return tuple(shifted(roles, down=down, right=right) for roles in probability)


class DilatedMasks(FaultyMasks):
    """Widen all masks by `pixels` on every side: what surrounds the objects leaks in."""

    def __init__(
        self, source: MaskSource, *, rng: np.random.Generator, share: float = 1.0, pixels: int = 4
    ) -> None:
        super().__init__(source, rng=rng, share=share)
        self.pixels = at_least_one(pixels, "pixels")

    def broken(self, probability: Masks, frames: Sequence[Frame]) -> Masks:
        del frames
        window = 2 * self.pixels + 1
        return tuple(
            F.max_pool2d(torch.from_numpy(roles), window, stride=1, padding=self.pixels).numpy()
            for roles in probability
        )


class WrongObjectMasks(FaultyMasks):
    """Show another object as the target: `labels` returns label maps in which that object is the
    TARGET.
    """

    def __init__(
        self, source: MaskSource, *, rng: np.random.Generator, labels: LabelMaps, share: float = 1.0
    ) -> None:
        super().__init__(source, rng=rng, share=share)
        self.labels = labels

    def broken(self, probability: Masks, frames: Sequence[Frame]) -> Masks:
        maps = self.labels()
        if missing := [frame.camera for frame in frames if frame.camera not in maps]:
            raise InputError(
                f"got label maps of {sorted(maps)}, expected also {missing}, render segmentation "
                "for every camera"
            )
        return tuple(
            _with_target(roles, maps[frame.camera] == Label.TARGET)
            for roles, frame in zip(probability, frames, strict=True)
        )


class StaleMasks(FaultyMasks):
    """Answer with the masks of `calls` calls ago, and their age; the first calls of an episode get
    its first masks.

    A new goal, a new set of cameras or a clock that went back (a new episode) starts again.
    """

    def __init__(
        self, source: MaskSource, *, rng: np.random.Generator, share: float = 1.0, calls: int = 2
    ) -> None:
        super().__init__(source, rng=rng, share=share)
        self.calls = at_least_one(calls, "calls")
        self._past: deque[tuple[float, Mask]] = deque(maxlen=calls + 1)
        self._key: tuple = ()

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        key = (goal.text, *(frame.camera for frame in frames))
        time_s = min(frame.time_s for frame in frames)
        if key != self._key or (self._past and time_s < self._past[-1][0]):
            self._past.clear()
        self._key = key
        mask = self.source(frames, goal)
        self._past.append((time_s, mask))
        then_s, then = self._past[0]
        return (
            replace(then, age_s=then.age_s + time_s - then_s)
            if self.rng.random() < self.share
            else mask
        )


def shifted(
    masks: Float32[np.ndarray, "*n h w"], *, down: int, right: int
) -> Float32[np.ndarray, "*n h w"]:
    """Move pictures by whole pixels, zero where nothing came from. Inverse up to the border: the
    same with opposite signs.
    """
    moved = np.zeros_like(masks)
    height, width = masks.shape[-2:]
    to_rows, from_rows = _overlap(down, height)
    to_columns, from_columns = _overlap(right, width)
    moved[..., to_rows, to_columns] = masks[..., from_rows, from_columns]
    return moved


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    """Return where a line of `length` that moved `by` lands inside itself, and what of it does."""
    by = max(-length, min(length, by))
    return slice(max(0, by), length + min(0, by)), slice(max(0, -by), length - max(0, by))


def _with_target(probability: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a copy of the masks with another target channel (H, W)."""
    changed = probability.copy()
    changed[TARGET] = target
    return changed
