"""Verify before acting: is what the mask shows the thing that the goal names?

    masks = VerifiedMasks(RegionMasks(learned_masks(...)), Verifier.load("tabletop"), language=...)

At every decision, so before the arm moves and again before it closes, a small network sees what
the mask cuts out of each frame and reads the words that name the target. Where it says no, the
target is looked for again from where it was when it was last verified. A mask that lies there is of
what was verified, however it looks by now: half hidden, or in the hand. Else what was found there
is asked about; where that is a no, too, `Mask.verified` is False, the target's mask is empty, and
the agent holds still. What is never named ("pick up <region1>") is not asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from robot.batch import LANGUAGE_DIM
from robot.checkpoint import SHIPPED, load
from robot.language import LanguageEncoder
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.goals import has_regions, read_goal
from robot.perception.regions.track import follow, seen_before
from robot.perception.sources import MaskSource, learned_of
from robot.types import MASK_CHANNELS, Frame, Goal, InputError, Label, Mask, MaskStatus
from robot.words.reader import GoalReader

KIND, FILE_NAME = "verifier", "verifier.safetensors"
CROP_PX = 32  # per side of what is cut out
MARGIN = 0.2  # of the box's longer side, around it
SMALLEST_PX = 12  # of a mask that anything can be said of
YES_ABOVE = 0.2  # of looks with a right mask none was below, of those with a wrong one 4 % above
SAME_IOU = 0.5
TARGET = MASK_CHANNELS.index(Label.TARGET)


class Verifier(nn.Module):
    """Cut-out x words -> the logit of "yes, this is it"."""

    def __init__(
        self, *, vocabulary: str, widths: Sequence[int] = (24, 48, 64), dim: int = 64
    ) -> None:
        """`vocabulary` is the name of the words that it was trained on (robot.words)."""
        super().__init__()
        self.vocabulary = vocabulary
        layers: list[nn.Module] = []
        before = 4 * 4  # RGB and mask, 2x2 pixels to a cell
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        self.look = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 4, dim))
        self.words = nn.Linear(LANGUAGE_DIM, dim)
        self.judge = nn.Sequential(
            nn.Linear(3 * dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 1)
        )

    @classmethod
    def load(cls, name: Path | str) -> Self:
        """Return the verifier of a checkpoint, its folder, or shipped weights by name."""
        for file in (Path(name), Path(name) / FILE_NAME, SHIPPED / str(name) / FILE_NAME):
            if file.is_file():
                verifier = load(file, {KIND: cls})
                assert isinstance(verifier, cls)
                return verifier.eval().requires_grad_(False)
        raise InputError(
            f'got verifier {str(name)!r}, expected a checkpoint, its folder or "tabletop"; '
            "tools/train_verifier.py makes one"
        )

    def forward(
        self, cutouts: UInt8[Tensor, "b 4 32 32"], words: Float[Tensor, "b 384"]
    ) -> Float[Tensor, " b"]:
        """Return the logit of "yes" for each cut-out and its words."""
        planes = F.pixel_unshuffle(cutouts.to(words.dtype) / 64 - 2, 2)
        look, asked = self.look(planes), self.words(words)
        return self.judge(torch.cat([look, asked, look * asked], dim=1)).squeeze(1)


def cutout(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "4 32 32"]:
    """Return the square around a mask, RGB and mask, whatever lies beyond the frame black."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    half = side * (0.5 + MARGIN)
    scale = CROP_PX / (2 * half)
    to_cutout = np.array(
        [[scale, 0, (half - middle[1]) * scale], [0, scale, (half - middle[0]) * scale]]
    )
    planes = np.dstack([image, 255 * mask.astype(np.uint8)])
    square = cv2.warpAffine(planes, to_cutout, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(square.transpose(2, 0, 1))


def phrase_of(goal: Goal, reader: GoalReader) -> str | None:
    """Return what a goal calls its target, such as "red cup"; None where it leaves that open."""
    if has_regions(goal):
        thing = read_goal(goal, reader).target_words
        named = None if thing is None else (thing.noun, thing.colour)
    else:
        read = reader.read(goal.text)
        named = read.targets[0] if len(read.targets) == 1 else None
    return None if named is None or None in named else f"{named[1]} {named[0]}"


def mean_words(language: LanguageEncoder, phrases: Sequence[str]) -> Float[Tensor, "n 384"]:
    """Return the mean token of each phrase."""
    tokens = language.encode(list(phrases))
    valid = tokens.valid[..., None].float()
    return (tokens.tokens.float() * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


class VerifiedMasks:
    """Ask about every mask of `source` before anything moves by it."""

    def __init__(
        self,
        source: RegionMasks,
        verifier: Verifier,
        *,
        language: LanguageEncoder,
        yes_above: float = YES_ABOVE,
    ) -> None:
        self.source, self.verifier, self.language = source, verifier, language
        self.yes_above = yes_above
        self._goal: Goal | None = None
        self._verified: tuple[Sequence[Frame], list[np.ndarray]] | None = None  # at the last look
        self._words: dict[str, Tensor] = {}

    @property
    def networks(self) -> tuple[object, ...]:
        """Return what is large and never changes."""
        return self.verifier, self.language, *self.source.networks

    def reseed(self, rng: np.random.Generator) -> None:
        """Forget the episode before; let the wrapped source draw from `rng`."""
        self._goal = None
        self.source.reseed(rng)

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        mask = self.source(frames, goal)
        if goal != self._goal or (
            self._verified and frames[0].time_s < self._verified[0][0].time_s
        ):
            self._goal, self._verified = goal, None
        phrase = phrase_of(goal, self.source.reader)
        if phrase is None or mask.sentence == "" or mask.status[0] is not MaskStatus.FOUND:
            return mask
        targets = [roles[TARGET] for roles in mask.probability]
        answer = self.is_a(frames, targets, phrase)
        if answer is None:  # hardly anything is seen of it
            return mask
        if answer >= self.yes_above:
            self._verified = frames, targets
            return replace(mask, verified=True)
        return self._found_again(frames, mask, phrase)

    def _found_again(self, frames: Sequence[Frame], mask: Mask, phrase: str) -> Mask:
        """Look for the target from where it was verified last."""
        if self._verified is not None:
            head = self.source.head
            seen, _ = follow(head, frames, seen_before(head, *self._verified))
            targets = [
                _resized(of_camera[0].numpy(), frame)
                for of_camera, frame in zip(seen.masks, frames, strict=False)
            ]
            shown = [roles[TARGET] for roles in mask.probability]
            if _same_thing(shown, targets):
                self._verified = frames, shown
                return replace(mask, verified=True)
            answer = self.is_a(frames, targets, phrase)
            if answer is not None and answer >= self.yes_above:
                self._verified = frames, targets
                return replace(_with_target(mask, targets), verified=True)
        empty = [np.zeros_like(roles[TARGET]) for roles in mask.probability]
        status = (MaskStatus.UNCERTAIN,) * len(frames)
        return replace(_with_target(mask, empty), status=status, verified=False)

    @torch.inference_mode()
    def is_a(
        self, frames: Sequence[Frame], masks: Sequence[Float[np.ndarray, "h w"]], phrase: str
    ) -> float | None:
        """Return the probability that masks of one thing show what a phrase says, of all cameras
        that see it together; None where none does.
        """
        covered = [mask > 0.5 for mask in masks]
        cutouts = [
            cutout(frame.image, pixels)
            for frame, pixels in zip(frames, covered, strict=True)
            if pixels.sum() >= SMALLEST_PX
        ]
        if not cutouts:
            return None
        if phrase not in self._words:
            self._words[phrase] = mean_words(self.language, [phrase])
        words = self._words[phrase].expand(len(cutouts), -1)
        logits = self.verifier(torch.from_numpy(np.stack(cutouts)), words)
        return float(torch.sigmoid(logits.mean()))


def _same_thing(ones: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Return whether masks lie on each other in some camera."""
    pairs = [(one > 0.5, other > 0.5) for one, other in zip(ones, others, strict=True)]
    return any((a & b).sum() > SAME_IOU * max((a | b).sum(), 1) for a, b in pairs)


def verified_masks(source: RegionMasks, *, language: LanguageEncoder) -> MaskSource:
    """Return a source whose masks are asked about; unchanged where the shipped verifier does not
    know the words of its mask head.
    """
    verifier, learned = Verifier.load("tabletop"), learned_of(source)
    if learned is None or learned.head.vocabulary != verifier.vocabulary:
        return source
    return VerifiedMasks(source, verifier, language=language)


def _resized(plane: np.ndarray, frame: Frame) -> np.ndarray:
    height, width = frame.image.shape[:2]
    return plane if plane.shape == (height, width) else cv2.resize(plane, (width, height))


def _with_target(mask: Mask, targets: Sequence[np.ndarray]) -> Mask:
    probability = []
    for roles, target in zip(mask.probability, targets, strict=True):
        changed = roles.copy()
        changed[TARGET] = target
        probability.append(changed)
    return replace(mask, probability=tuple(probability))
