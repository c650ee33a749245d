"""Mask sources: `source(frames, goal) -> Mask`, one call for all cameras. Learned, oracle, cached,
none.

`Mask.status` holds one entry per frame, all equal: a target that any camera sees is present for all
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.base import Head
from robot.perception.head.presence import ABSENT_BELOW, FOUND_ABOVE, status_of
from robot.types import Frame, Goal, InputError, Mask, MaskStatus


class MaskSource(Protocol):
    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask: ...


@runtime_checkable
class RandomMasks(Protocol):
    """A mask source that draws: it takes a generator at the start of every episode, so that the
    episode can be repeated.
    """

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask: ...

    def reseed(self, rng: np.random.Generator) -> None: ...


def stack_frames(frames: Sequence[Frame]) -> UInt8[np.ndarray, "n h w 3"]:
    """Stack the cameras' images into one batch."""
    shapes = {frame.camera: frame.image.shape for frame in frames}
    if len(set(shapes.values())) != 1:
        raise InputError(
            f"got images of sizes {shapes}, expected at least one frame and one size, resize them "
            "to one size"
        )
    return np.stack([frame.image for frame in frames])


class LearnedMasks:
    """Ask a mask head, which wants the frames of all its cameras, in the order of its training."""

    def __init__(
        self,
        head: Head,
        language: LanguageEncoder | RawSentences,
        *,
        found_above: float = FOUND_ABOVE,
        absent_below: float = ABSENT_BELOW,
    ) -> None:
        if not 0 <= absent_below < found_above <= 1:
            raise InputError(
                f"got found_above {found_above} and absent_below {absent_below}, expected 0 <= "
                "absent_below < found_above <= 1"
            )
        self.head, self.language = head.eval(), language
        self.found_above, self.absent_below = found_above, absent_below

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        output = self.head.predict(stack_frames(frames), self.language.encode([goal.text]))
        presence = self.head.presence_probability(output.presence_logits)
        status = status_of(
            presence[:, 0].max().item(),
            found_above=self.found_above,
            absent_below=self.absent_below,
        )
        return Mask(
            probability=output.logits.sigmoid().numpy(),
            presence=presence.numpy(),
            predicted_iou=output.predicted_iou.numpy(),
            status=(status,) * len(frames),
        )


class OracleMasks:
    """Read the simulator's label maps, {camera: uint8 (H, W)}: what a perfect mask head
    would say.
    """

    def __init__(self, labels: Callable[[], Mapping[str, UInt8[np.ndarray, "h w"]]]) -> None:
        self.labels = labels

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        del goal  # the simulator already knows what the goal refers to
        maps = self.labels()
        if missing := [frame.camera for frame in frames if frame.camera not in maps]:
            raise InputError(
                f"got label maps of {sorted(maps)}, expected also {missing}, render segmentation "
                "for every camera"
            )
        masks = mask_from_labels(
            torch.from_numpy(np.stack([maps[frame.camera] for frame in frames]))
        )
        presence = masks[:, :2].amax(dim=(2, 3)).numpy()
        status = MaskStatus.FOUND if presence[:, 0].any() else MaskStatus.ABSENT
        return Mask(
            probability=masks.numpy(),
            presence=presence,
            predicted_iou=np.ones(len(frames), np.float32),
            status=(status,) * len(frames),
        )


class CachedMasks:
    """Ask `source` once every `period` calls and repeat its answer, with its age, in between.

    A new goal, a new set of cameras or a clock that went back (a new episode) asks at once.
    """

    def __init__(self, source: MaskSource, period: int) -> None:
        if period < 1:
            raise InputError(
                f"got period {period}, expected at least 1, use 1 for a fresh mask at every call"
            )
        self.source, self.period = source, period
        self._mask: Mask | None = None
        self._key: tuple = ()
        self._time_s, self._calls = 0.0, 0

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        key = (goal.text, *(frame.camera for frame in frames))
        time_s = min(frame.time_s for frame in frames)
        stale = self._calls >= self.period or key != self._key or time_s < self._time_s
        if self._mask is None or stale:
            self._mask, self._key, self._time_s, self._calls = (
                self.source(frames, goal),
                key,
                time_s,
                0,
            )
        self._calls += 1
        return replace(self._mask, age_s=self._mask.age_s + time_s - self._time_s)


class NoMask:
    """Keep everything and claim that the target is there: the maskless arm of every comparison."""

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        del goal
        count, height, width, _ = stack_frames(frames).shape
        return Mask(
            probability=np.ones((count, 3, height, width), np.float32),
            presence=np.ones((count, 2), np.float32),
            predicted_iou=np.ones(count, np.float32),
            status=(MaskStatus.FOUND,) * count,
        )
