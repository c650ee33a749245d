"""A mask head in front of single pictures of any size: picture + plain words -> masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from robot.language import LanguageEncoder
from robot.perception.head.base import Head, MaskOutput
from robot.perception.head.look import look_through
from robot.perception.head.presence import likeliness, status_of
from robot.perception.head.relations import told_apart
from robot.types import InputError, MaskStatus
from robot.words.reader import GoalReader, ReadGoal


@dataclass(frozen=True)
class PictureMask:
    """What a head says about one picture, at the picture's own size.

    `probability` is of target, destination and gripper; `presence` the calibrated probability
    that target and destination are there; `predicted_iou` what it expects of its target mask.
    `sentence` is what it was asked; "" where the goal asks for nothing that it can do: `reason`,
    which also names words of a goal that count for nothing.
    """

    probability: Float32[np.ndarray, "3 h w"]
    status: MaskStatus
    presence: Float32[np.ndarray, "2"]
    predicted_iou: float
    sentence: str
    reason: str = ""


def look_at(
    head: Head, pictures: Sequence[Shaped[np.ndarray, "..."]], goal: str
) -> list[PictureMask]:
    """Return what a head says about pictures of one size, each on its own, batched.

    A head that looks through several cameras at once sees the same picture through all of them.
    """
    for picture in pictures:
        _check(picture)
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise InputError(f"got pictures of {sorted(shapes)}, expected one size; group them by size")
    if not pictures:
        return []
    read = GoalReader.of(head.vocabulary).read(goal)
    if not read.sentences:
        return [_nothing(picture, reason=read.reason) for picture in pictures]
    planes = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    if read.related is not None:
        return [_told_apart(head, planes[k : k + 1], read) for k in range(len(planes))]
    answers = [
        _ask(head, planes, sentence, chances=len(read.sentences), reason=read.note)
        for sentence in read.sentences
    ]
    return [
        max(of_one, key=lambda mask: likeliness(mask.presence))
        for of_one in zip(*answers, strict=True)
    ]


def _told_apart(head: Head, planes: Shaped[torch.Tensor, "1 3 h w"], read: ReadGoal) -> PictureMask:
    """Return what a head says about the one object that a relation tells from others."""
    reader, words = GoalReader.of(head.vocabulary), head.word_encoder(_language())
    meant = told_apart(read, [planes] * head.cameras, head=head, language=words, reader=reader)
    if not meant:
        return _nothing(planes[0].permute(1, 2, 0).numpy(), reason="nothing fits")
    return _ask(head, planes, meant[0], chances=1, reason=read.note)[0]


def _ask(
    head: Head,
    planes: Shaped[torch.Tensor, "b 3 h w"],
    sentence: str,
    *,
    chances: int,
    reason: str,
) -> list[PictureMask]:
    """Ask about one sentence, one of `chances`."""
    words = head.word_encoder(_language()).encode([sentence])

    def ask(frames: Shaped[torch.Tensor, "f 3 h w"]) -> MaskOutput:
        # the layout that the network's convolutions are fast in
        return head.predict(frames.contiguous(memory_format=torch.channels_last), words)

    seen = look_through(head, [planes] * head.cameras, ask=ask)
    presence = head.presence_probability(seen.presence_logits[:, 0]).numpy()
    probability = seen.probability[0].numpy()
    return [
        PictureMask(
            probability=probability[index],
            status=status_of(float(presence[index, 0]), chances=chances),
            presence=presence[index],
            predicted_iou=float(seen.predicted_iou[index, 0]),
            sentence=sentence,
            reason=reason,
        )
        for index in range(len(planes))
    ]


def _nothing(picture: Shaped[np.ndarray, "h w 3"], *, reason: str) -> PictureMask:
    return PictureMask(
        probability=np.zeros((3, *picture.shape[:2]), np.float32),
        status=MaskStatus.ABSENT,
        presence=np.zeros(2, np.float32),
        predicted_iou=0.0,
        sentence="",
        reason=reason,
    )


def _check(picture: object) -> None:
    shape, dtype = getattr(picture, "shape", None), getattr(picture, "dtype", None)
    if not isinstance(picture, np.ndarray) or (
        picture.ndim != 3 or picture.shape[2] != 3 or not picture.size or dtype != np.uint8
    ):
        raise InputError(
            f"got a picture {shape} {dtype}, expected uint8 (H, W, 3); convert it to RGB"
        )


@cache
def _language() -> LanguageEncoder:
    """Return the one encoder of all pictures: it loads its model once."""
    return LanguageEncoder()
