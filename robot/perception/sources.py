"""Mask sources: `source(frames, goal) -> Mask`, one call for all cameras. Learned, oracle, cached,
none.

`Mask.status` holds one entry per frame, all equal: a target that any camera sees is present for all
of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.look import check_cameras, look_through
from robot.perception.head.mask_head import Head, MaskOutput
from robot.perception.head.presence import ABSENT_BELOW, FOUND_ABOVE, likeliness, status_of
from robot.perception.head.relations import told_apart
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError, Mask, MaskStatus
from robot.words.reader import GoalReader, ReadGoal, shortened


class MaskSource(Protocol):
    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask: ...


@runtime_checkable
class RandomMasks(Protocol):
    """A mask source that draws: it takes a generator at the start of every episode, so that the
    episode can be repeated.
    """

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask: ...

    def reseed(self, rng: np.random.Generator) -> None: ...


class Unheeded:
    """Warns of goals that are not acted on, or not in all their words, of each once in a row."""

    def __init__(self) -> None:
        self._last = ""

    def of(self, text: str, read: ReadGoal) -> None:
        """Say why, to the caller of the caller."""
        if text == self._last or (read.sentences and not read.note):
            return
        self._last = text
        unread = f"it is not acted on ({read.status.value}): {read.reason}"
        warnings.warn(f"the goal {shortened(text)!r}: {read.note or unread}", stacklevel=3)


class LearnedMasks:
    """Ask a mask head. One of several cameras wants the frames of all of them, in the order of its
    training; one of one camera takes any number, one by one. Frames of another size than in
    training are resized, and the masks back.
    """

    def __init__(
        self,
        head: Head,
        language: LanguageEncoder | RawSentences,
        *,
        found_above: float = FOUND_ABOVE,
        absent_below: float = ABSENT_BELOW,
        reader: GoalReader | None = None,
    ) -> None:
        if not 0 <= absent_below < found_above <= 1:
            raise InputError(
                f"got found_above {found_above} and absent_below {absent_below}, expected 0 <= "
                "absent_below < found_above <= 1"
            )
        self.head, self.language = head.eval(), language
        self.found_above, self.absent_below = found_above, absent_below
        self.reader = reader or GoalReader()
        self._settled: tuple[str, float, str] | None = None  # goal, time, the sentence chosen
        self._warned = Unheeded()

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        check_cameras(self.head, [camera_of(frame) for frame in frames])
        read = self.reader.read(goal.text)
        if not read.sentences:
            self._warned.of(goal.text, read)
            return nothing_of(frames)
        if len(read.sentences) == 1 and read.related is None:
            return self._ask(frames, read.sentences[0], goal=goal)
        return self._settle(frames, read, goal=goal)

    def _settle(self, frames: Sequence[Frame], read: ReadGoal, *, goal: Goal) -> Mask:
        """Ask about every object that the goal may mean, or about the one that its relation tells
        from others; once one is found, about that one until the goal changes or the clock goes back
        (a new episode).
        """
        time_s = min(frame.time_s for frame in frames)
        settled = self._settled
        if settled and settled[0] == goal.text and settled[1] <= time_s:
            self._settled = (goal.text, time_s, settled[2])
            return self._ask(frames, settled[2], goal=goal)
        sentences = read.sentences
        if read.related is not None:
            planes = [_planes_of(frame) for frame in frames]
            sentences = told_apart(
                read, planes, head=self.head, language=self.language, reader=self.reader
            )
        if not sentences:
            return _everywhere(0.0, frames, status=MaskStatus.ABSENT)
        masks = [
            self._ask(frames, sentence, goal=goal, chances=len(sentences)) for sentence in sentences
        ]
        best = max(masks, key=lambda mask: likeliness(mask.presence))
        found = best.status[0] is MaskStatus.FOUND and best.sentence is not None
        self._settled = (goal.text, time_s, best.sentence or goal.text) if found else None
        return best

    @torch.inference_mode()
    def _ask(self, frames: Sequence[Frame], sentence: str, *, goal: Goal, chances: int = 1) -> Mask:
        """Ask the head about one sentence, one of `chances`."""
        words = self.language.encode([sentence])

        def ask(planes: torch.Tensor) -> MaskOutput:
            return self.head.predict(planes, words)

        planes = [_planes_of(frame) for frame in frames]
        seen = look_through(self.head, planes, ask=ask)
        presence = self.head.presence_probability(seen.presence_logits[0])
        status = status_of(
            presence[:, 0].max().item(),
            found_above=self.found_above,
            absent_below=self.absent_below,
            chances=chances,
        )
        return Mask(
            probability=tuple(masks[0].numpy() for masks in seen.probability),
            presence=presence.numpy(),
            predicted_iou=seen.predicted_iou[0].numpy(),
            status=(status,) * len(frames),
            sentence=None if sentence == goal.text else sentence,
        )


def _planes_of(frame: Frame) -> UInt8[torch.Tensor, "1 3 h w"]:
    return torch.from_numpy(frame.image).permute(2, 0, 1)[None]


def nothing_of(frames: Sequence[Frame]) -> Mask:
    """Return the mask of a goal that asks for nothing."""
    return replace(_everywhere(0.0, frames, status=MaskStatus.ABSENT), sentence="")


def _everywhere(value: float, frames: Sequence[Frame], *, status: MaskStatus) -> Mask:
    """Return masks, presence and predicted IoU that are all `value`."""
    count = len(frames)
    return Mask(
        probability=tuple(np.full((3, *f.image.shape[:2]), value, np.float32) for f in frames),
        presence=np.full((count, 2), value, np.float32),
        predicted_iou=np.full(count, value, np.float32),
        status=(status,) * count,
    )


def reader_of(masks: MaskSource) -> GoalReader | None:
    """Return the reader of a mask head, however its masks are kept or broken; None where no head is
    asked.
    """
    learned = learned_of(masks)
    return None if learned is None else learned.reader


def networks_of(masks: MaskSource) -> tuple[object, ...]:
    """Return what is large and never changes in a mask source: its heads and word encoder."""
    learned = learned_of(masks)
    words = () if learned is None else (learned.head, learned.language, learned.reader)
    return (*words, *getattr(masks, "networks", ()))


def learned_of(masks: MaskSource) -> LearnedMasks | None:
    """Return the source that asks a head, however its masks are kept or broken."""
    while not isinstance(masks, LearnedMasks):
        inner = getattr(masks, "source", None)
        if inner is None:
            return None
        masks = inner
    return masks


def camera_of(frame: Frame) -> Camera:
    """Return what the frame says of its camera."""
    height, width = frame.image.shape[:2]
    return Camera(frame.camera, height=height, width=width)


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
        masks = tuple(
            mask_from_labels(torch.from_numpy(maps[frame.camera])[None])[0].numpy()
            for frame in frames
        )
        presence = np.stack([roles[:2].max(axis=(1, 2)) for roles in masks])
        status = MaskStatus.FOUND if presence[:, 0].any() else MaskStatus.ABSENT
        return Mask(
            probability=masks,
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
    """Keep everything and claim that the target is there: the unmasked arm of every comparison."""

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        del goal
        return _everywhere(1.0, frames, status=MaskStatus.FOUND)
