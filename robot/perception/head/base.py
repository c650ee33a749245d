"""What every mask head is, and the heads that a checkpoint or a config can name.

head = Head.load("tabletop")
mask = head.predict(image, "pick up the red cup")  # one picture of any size
output = head.predict(frames, head.word_encoder().encode(["pick up the red cup"]))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from robot.batch import LanguageTokens, MaskBatch, Sentences
from robot.checkpoint import cameras_of, load, vocabulary_of
from robot.language import LanguageEncoder, RawSentences
from robot.perception.head.presence import CalibratedPresence
from robot.perception.names import resolve_head
from robot.spaces import Camera
from robot.system.device import pick_dtype
from robot.types import InputError

if TYPE_CHECKING:
    from robot.perception.pictures import PictureMask

Words = LanguageTokens | Sentences


@dataclass(frozen=True)
class MaskOutput:
    """What the head says about B frames: logits per pixel of (target, destination, gripper), logits
    of presence (target, destination), uncalibrated, and the IoU in [0, 1] that it expects of its
    own target mask.
    """

    logits: Float[Tensor, "b 3 h w"]
    coarse_logits: Float[Tensor, "b 3 h8 w8"]
    presence_logits: Float[Tensor, "b 2"]
    predicted_iou: Float[Tensor, " b"]


class ReadsWords(nn.Module):
    """A module that reads goals, as token embeddings or as they are written."""

    reads_sentences = False  # True: it reads Sentences; False: LanguageTokens

    def word_encoder(
        self, language: LanguageEncoder | None = None
    ) -> LanguageEncoder | RawSentences:
        """Return what turns goals into the words that this module reads; `language` where those are
        tokens and an encoder is there already.
        """
        if self.reads_sentences:
            return RawSentences()
        return LanguageEncoder() if language is None else language


class Head(CalibratedPresence, ReadsWords):
    """What every mask head is: `forward(frames, language) -> MaskOutput`, `loss_of(output, batch)`,
    calibrated presence. Whoever wants masks calls `predict`.
    """

    cameras = 1  # looked through at once
    trained_cameras: tuple[Camera, ...] = ()  # of a checkpoint; empty: frames are taken as they are
    vocabulary: str | Mapping[str, Any] | None = None  # of a checkpoint: robot.words.reader
    looks_at_once = 32  # that one call without gradients should be asked about: bounds memory

    @classmethod
    def load(cls, name: Path | str) -> Self:
        """Return the head of a checkpoint, its folder, or shipped weights by name, on the CPU and
        ready to predict.
        """
        file = cls.resolve(str(name))
        head = load(file, HEADS)
        if not isinstance(head, cls):
            raise InputError(
                f"got a {type(head).__name__} in {name}, expected a {cls.__name__}; load it with "
                "Head.load"
            )
        head.trained_cameras, head.vocabulary = cameras_of(file), vocabulary_of(file)
        return head

    @overload
    @staticmethod
    def resolve(name: str) -> Path: ...
    @overload
    @staticmethod
    def resolve(name: str | None) -> Path | None: ...
    @staticmethod
    def resolve(name: str | None) -> Path | None:
        """Return the file of a mask head: a checkpoint, its folder, or the name of shipped weights;
        None stays None.
        """
        return None if name is None else resolve_head(name)

    @property
    def frames_at_once(self) -> int:
        return self.looks_at_once * self.cameras

    def loss(
        self, batch: MaskBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Per-sample loss; `generator` is part of every module's signature here and unused."""
        del generator
        return self.loss_of(self(batch.frames, batch.language), batch)

    def loss_of(self, output: MaskOutput, batch: MaskBatch) -> Float[Tensor, " b"]:
        """Return the loss of each sample, given what the head says about the batch's frames."""
        raise NotImplementedError

    @overload
    def predict(self, frames: Shaped[np.ndarray, "_ _ 3"], words: str) -> PictureMask: ...
    @overload
    def predict(
        self, frames: Shaped[np.ndarray, "f _ _ _"] | Shaped[Tensor, "f _ _ _"], words: Words
    ) -> MaskOutput: ...
    def predict(
        self, frames: Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."], words: Words | str
    ) -> MaskOutput | PictureMask:
        """Return what the head says about F frames, float32 on the CPU and without gradients; or,
        for one uint8 picture (H, W, 3) of any size and a goal in plain words, its PictureMask.

        `frames` are uint8 (F, H, W, 3) or (F, 3, H, W), the cameras of each look side by side in
        the order of training; `words` those of F sentences, or of one that holds for all frames. At
        most `frames_at_once` go through the network together, on its own device, in bfloat16 where
        the hardware has it. Another shape, or half a look: InputError.
        """
        if isinstance(words, str):
            from robot.perception.pictures import look_at  # which imports this module

            return look_at(self, [np.asarray(frames)], words)[0]
        planes = _planes(frames)
        if not len(planes) or len(planes) % self.cameras:
            raise InputError(
                f"got {len(planes)} frames, expected whole looks of {self.cameras} cameras; pass "
                "the frames of all of them, in the order of training"
            )
        if self.training:  # setting a mode walks every module, which is not for every decision
            self.eval()
            try:
                return self.predict(frames, words)
            finally:
                self.train()
        with torch.inference_mode():
            parts = [
                self.infer(chunk.to(self.device), of_chunk.to(self.device))
                for chunk, of_chunk in _chunks(planes, words, size=self.frames_at_once)
            ]
        return MaskOutput(
            **{
                field.name: torch.cat([getattr(part, field.name).float().cpu() for part in parts])
                for field in fields(MaskOutput)
            }
        )

    def infer(self, frames: Shaped[Tensor, "b _ _ _"], words: Words) -> MaskOutput:
        """One pass of `predict`, frames and words on the head's device; heads with a faster way
        than `forward` override it.
        """
        dtype = pick_dtype("auto", self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            return self(frames, words)


def _planes(
    frames: Shaped[np.ndarray, "f _ _ _"] | Shaped[Tensor, "f _ _ _"],
) -> Shaped[Tensor, "f 3 h w"]:
    """View frames channels-first, however they come."""
    planes = torch.as_tensor(frames)
    if planes.dtype == torch.uint8 and planes.shape[-1] == 3:
        return planes.permute(0, 3, 1, 2)
    if planes.dtype == torch.uint8 and planes.shape[1] == 3:
        return planes
    raise InputError(
        f"got frames {tuple(planes.shape)} {planes.dtype}, expected uint8 (F, H, W, 3) or "
        "(F, 3, H, W), stack RGB as uint8"
    )


def _chunks(planes: Tensor, words: Words, *, size: int) -> Iterator[tuple[Tensor, Words]]:
    """Split frames, with the words of each of them."""
    count = len(words.texts) if isinstance(words, Sentences) else len(words.tokens)
    if count not in (1, len(planes)):
        raise InputError(
            f"got {count} sentences for {len(planes)} frames, expected one for each, or one for "
            "all; encode as many"
        )
    rows = torch.arange(len(planes)) if count > 1 else torch.zeros(len(planes), dtype=torch.long)
    for start in range(0, len(planes), size):
        yield planes[start : start + size], words[rows[start : start + size]]


def _mask_head(**options: Any) -> nn.Module:
    from robot.perception.head.mask_head import MaskHead  # which imports this module

    return MaskHead(**options)


def _ivm(**options: Any) -> nn.Module:
    # transformers' models take seconds to import
    from robot.perception.ivm.pretrained import pretrained_ivm

    return pretrained_ivm(**options)


HEADS: dict[str, Callable[..., nn.Module]] = {"mask_head": _mask_head, "ivm_sam_llava": _ivm}
