"""Which object a goal means that tells it from others by where it stands: the head is asked for
every object by name, and the relation is solved on the masks.

"the ball left of the blue cup": one look for the four balls and the blue cup, together; the ball
whose mask lies left of the cup's gives the sentence that the head and the policy know. Left, right
and near are as the first frame shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from robot.language import LanguageEncoder, RawSentences
from robot.perception.head.base import Head, MaskOutput
from robot.perception.head.look import Look, look_through
from robot.types import MASK_CHANNELS, Label
from robot.words.items import Thing
from robot.words.reader import GoalReader, ReadGoal
from robot.words.related import GRIPPER, Placed, Related, resolve

SEEN_ABOVE = 0.5  # presence, calibrated, in any camera
SMALLEST = 5e-4  # of a frame's area: a smaller mask is no thing
SAME_SHARE = 0.5  # IoU from which two names are given to one thing
FORESHORTENED = 0.73  # of lengths along the table, towards a camera that looks down by 47 degrees
BELOW_HAND = (0.5, 0.68)  # (x, y) of a hand camera's frame: what is below the fingers
ROLES = tuple(MASK_CHANNELS.index(role) for role in (Label.TARGET, Label.DESTINATION))
FINGERS = MASK_CHANNELS.index(Label.GRIPPER)


@dataclass(frozen=True, eq=False)
class Seen:
    """A thing that the head finds by its name, with its mask in every frame."""

    thing: Thing
    presence: float
    masks: tuple[Bool[np.ndarray, "_ _"], ...]


@torch.inference_mode()
def told_apart(
    read: ReadGoal,
    frames: Sequence[UInt8[Tensor, "1 3 _ _"]],
    *,
    head: Head,
    language: LanguageEncoder | RawSentences,
    reader: GoalReader,
) -> tuple[str, ...]:
    """Return the sentences of `read` about the object that its relation tells from the others it
    names; none where the frames show no such thing.
    """
    related = read.related
    assert related is not None
    targets = [Thing(*target) for target in dict.fromkeys(read.targets)]
    seen, fingers = find(_names(related, targets, reader), frames, head=head, language=language)
    things = _one_anchor(seen, related)
    found = resolve(related, [_placed(of, fingers) for of in things])
    if found is None:
        return ()
    meant = (things[found].thing.noun, things[found].thing.colour)
    return tuple(text for text, of in zip(read.sentences, read.targets, strict=True) if of == meant)


def _names(
    related: Related, targets: Sequence[Thing], reader: GoalReader
) -> list[tuple[str, Thing, bool]]:
    """Return the sentences to ask, each thing once: the targets that may be meant, the anchor."""
    anchor = related.anchor
    every = [name for target in targets for name in reader.naming(target)]
    if anchor not in (None, GRIPPER):
        every += reader.naming(anchor)  # type: ignore[arg-type]
    return list({name[1]: name for name in every}.values())


def find(
    names: Sequence[tuple[str, Thing, bool]],
    frames: Sequence[UInt8[Tensor, "1 3 _ _"]],
    *,
    head: Head,
    language: LanguageEncoder | RawSentences,
) -> tuple[list[Seen], Bool[np.ndarray, "_ _"]]:
    """Return the named things that are there, the surest first, each pixel's owner the surest; and
    the hand's mask in the first frame.
    """
    words = language.encode([text for text, _, _ in names])
    rows = torch.arange(len(names)).repeat_interleave(len(frames))

    def ask(planes: Tensor) -> MaskOutput:
        return head.predict(planes.contiguous(memory_format=torch.channels_last), words[rows])

    look = look_through(head, [f.expand(len(names), -1, -1, -1) for f in frames], ask=ask)
    presence = head.presence_probability(look.presence_logits).numpy()  # names cameras 2
    seen = [
        _seen(look, k, thing, ROLES[place], float(presence[k, :, int(place)].max()))
        for k, (_, thing, place) in enumerate(names)
    ]
    seen.sort(key=lambda one: -one.presence)
    kept: list[Seen] = []
    for one in seen:
        there = one.presence >= SEEN_ABOVE and one.masks[0].mean() >= SMALLEST
        if there and not any(_same(one, other) for other in kept):
            kept.append(one)
    return kept, look.probability[0][:, FINGERS].mean(dim=0).numpy() > 0.5


def _seen(look: Look, k: int, thing: Thing, channel: int, presence: float) -> Seen:
    masks = tuple(p[k, channel].numpy() > 0.5 for p in look.probability)
    return Seen(thing, presence, masks)


def _same(one: Seen, other: Seen) -> bool:
    both = (one.masks[0] & other.masks[0]).sum()
    return bool(both > SAME_SHARE * (one.masks[0] | other.masks[0]).sum())


def _one_anchor(seen: Sequence[Seen], related: Related) -> list[Seen]:
    """Leave out all but the surest of the things that may be the anchor."""
    if related.anchor is None or related.anchor == GRIPPER:
        return list(seen)
    anchors = [one for one in seen if related.anchor.fits(one.thing)]
    return [one for one in seen if one not in anchors[1:]]


def _placed(seen: Seen, fingers: Bool[np.ndarray, "h w"]) -> Placed:
    """Return where a thing stands, in widths of the first frame: its column, and the row where its
    middle meets the table.
    """
    shown, in_hand = seen.masks[0], seen.masks[-1]
    right, row = _foot(shown)
    if in_hand is not shown and in_hand.mean() >= SMALLEST:
        height, width = in_hand.shape
        rows, columns = np.nonzero(in_hand)
        x, y = columns.mean() / width - BELOW_HAND[0], rows.mean() / height - BELOW_HAND[1]
        gap = float(np.hypot(x, y))
    else:  # out of the hand camera's sight: farther away than all that is in it
        hand = _foot(fingers)[0] if fingers.any() else 0.5
        gap = 1.0 + abs(right - hand)
    return Placed(
        thing=seen.thing,
        right=right,
        near=row / FORESHORTENED,
        size=float(np.sqrt(shown.mean())),
        gap=gap,
    )


def _foot(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """Return the middle column of a mask and the row where its middle stands, in widths of the
    frame.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    width = mask.shape[1]
    half = (columns[-1] - columns[0] + 1) / (2 * width)
    middle = (columns[-1] + columns[0] + 1) / (2 * width)
    return float(middle), float((rows[-1] + 1) / width - FORESHORTENED * half)
