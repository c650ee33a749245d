"""The mask source of goals with regions: what was pointed at stays the same thing until the goal
changes.

masks = RegionMasks(learned_masks("tabletop", device=...))
mask = masks(frames, goal)  # as of any mask source; goals without regions pass through

At the first look of a goal its regions are outlined in every camera and become identities: how they
look, and where. Every later look finds them again from where they were a look ago. A region that no
camera shows is `uncertain`, its mask empty and `age_s` the time since it was last seen: never
another object. What words name ("put the red cup on <region1>") is found by the wrapped source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from robot.perception.head.look import resize_masks
from robot.perception.head.presence import FOUND_ABOVE
from robot.perception.regions.goals import RegionGoal, check_regions, has_regions, read_goal
from robot.perception.regions.head import RegionHead
from robot.perception.regions.track import Followed, Seen, follow, point, size_of
from robot.perception.sources import MaskSource, RandomMasks, Unheeded, nothing_of, reader_of
from robot.types import MASK_CHANNELS, Frame, Goal, Label, Mask, MaskStatus
from robot.words.reader import GoalReader, ReadGoal
from robot.words.request import Understanding

TARGET = MASK_CHANNELS.index(Label.TARGET)


class RegionMasks:
    """Follow the regions of goals; hand other goals on to `source`."""

    def __init__(
        self,
        source: MaskSource,
        head: RegionHead | str = "tabletop",
        *,
        device: torch.device | str = "cpu",
        reader: GoalReader | None = None,
        found_above: float = FOUND_ABOVE,
    ) -> None:
        self.source, self.reader = source, reader or reader_of(source) or GoalReader()
        self.found_above = found_above
        self._name, self._device = head if isinstance(head, str) else "", device
        self._head = None if isinstance(head, str) else head
        self._goal: Goal | None = None
        self._known: Followed | None = None
        self._warned = Unheeded()

    @property
    def head(self) -> RegionHead:
        """Return the region head, loaded at the first goal that has regions."""
        if self._head is None:
            self._head = RegionHead.load(self._name).to(self._device)
        return self._head

    @property
    def networks(self) -> tuple[RegionHead, ...]:
        """Return what is large and never changes."""
        return () if self._head is None else (self._head,)

    def reseed(self, rng: np.random.Generator) -> None:
        """Forget the episode before; let the wrapped source draw from `rng`."""
        self._goal = None
        if isinstance(self.source, RandomMasks):
            self.source.reseed(rng)

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        if not has_regions(goal):
            self._goal = None
            return self.source(frames, goal)
        read = read_goal(goal, self.reader)
        if not read.sentences:
            self._warned.of(goal.text, ReadGoal((), Understanding.NOT_UNDERSTOOD, read.reason))
            return nothing_of(frames)
        seen, known = self._look(frames, goal, roles_of(read))
        self._goal, self._known = goal, known
        mask = mask_of(seen, frames, read, known=known, found_above=self.found_above)
        if not read.by_words:
            return mask
        return with_words(mask, self.source(frames, Goal(read.sentences[0])), read)

    def _look(
        self, frames: Sequence[Frame], goal: Goal, roles: Sequence[int | None]
    ) -> tuple[Seen, Followed]:
        """Return the masks of a look, and what is known after it."""
        time_s = min(frame.time_s for frame in frames)
        known = self._known
        if goal != self._goal or known is None or time_s < known.time_s:
            check_regions(goal, frames)
            return point(self.head, frames, goal, roles, found_above=self.found_above)
        return follow(self.head, frames, known, found_above=self.found_above)


def roles_of(read: RegionGoal) -> tuple[int | None, int | None]:
    """Return the indices of the regions that the head looks for: target, destination."""
    return read.target, read.destination


def mask_of(
    seen: Seen, frames: Sequence[Frame], read: RegionGoal, *, known: Followed, found_above: float
) -> Mask:
    """Return what was seen as the mask of a goal's roles, at the frames' own sizes."""
    presence = seen.presence[: len(frames)].numpy().astype(np.float32)
    found = float(presence[:, 0].max()) >= found_above
    return Mask(
        probability=tuple(
            resize_masks(seen.masks[k][None], size_of(frame))[0].numpy()
            for k, frame in enumerate(frames)
        ),
        presence=presence,
        predicted_iou=seen.predicted_iou[: len(frames), 0].numpy().astype(np.float32),
        status=(MaskStatus.FOUND if found else MaskStatus.UNCERTAIN,) * len(frames),
        age_s=known.time_s - known.found_s,
        sentence=read.sentences[0],
    )


def with_words(mask: Mask, worded: Mask, read: RegionGoal) -> Mask:
    """Return the mask with the roles that words name taken from another source's mask."""
    by_words = [channel for channel, index in enumerate(roles_of(read)) if index is None]
    probability, presence = [], mask.presence.copy()
    for ours, theirs in zip(mask.probability, worded.probability, strict=True):
        merged = ours.copy()
        merged[by_words] = theirs[by_words]
        probability.append(merged)
    presence[:, by_words] = worded.presence[:, by_words]
    if TARGET not in by_words:
        return replace(mask, probability=tuple(probability), presence=presence)
    return replace(
        mask,
        probability=tuple(probability),
        presence=presence,
        predicted_iou=worded.predicted_iou,
        status=worded.status,
        age_s=worded.age_s,
        sentence=worded.sentence or mask.sentence,
    )
