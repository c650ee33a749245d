"""Things that are told from others by where they stand or how large they are: "the ball left of the
blue cup", "the second cup from the left", "the smallest one", "whatever is closest to the gripper".

resolve(Related("left", Thing("ball"), Thing("cup", "blue")), things)  # which of these is meant

Places are as the camera that faces the robot sees them; the words are in related_phrases.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from robot.words.items import Thing
from robot.words.lexicon import read_yaml

GRIPPER = Thing(noun="gripper")
SIZE_RATIO = 1.25  # between a smallest or largest thing and the next


@dataclass(frozen=True)
class Related:
    """A thing, told from others that `target` fits. `relation` is left, right, front, behind,
    nearest or farthest, of `anchor` or (None) of all; small or large; `rank` counts from a side.
    """

    relation: str
    target: Thing
    anchor: Thing | None = None
    rank: int = 1


@dataclass(frozen=True)
class Placed:
    """A thing and where it is: to the camera's right and towards it, in one unit, its size, and how
    far away the gripper is.
    """

    thing: Thing
    right: float
    near: float
    size: float
    gap: float = 0.0


def resolve(
    related: Related, things: Sequence[Placed], *, margin: float = 0.0, gap_margin: float = 0.0
) -> int | None:
    """Return the thing that is meant; None where that is not clear by `margin` (for distances to
    the gripper `gap_margin`), or without any. With no margin the likeliest is meant.
    """
    fits = [k for k, placed in enumerate(things) if related.target.fits(placed.thing)]
    anchor = None
    if related.anchor not in (None, GRIPPER):
        anchors = [k for k, placed in enumerate(things) if related.anchor.fits(placed.thing)]  # type: ignore[union-attr]
        if len(anchors) != 1:
            return None
        anchor = things[anchors[0]]
        fits = [k for k in fits if k != anchors[0]]
    if len(fits) < max(2 if margin else 1, related.rank):
        return None  # with a margin a relation is to tell one from others
    scores = np.array([_score(related, things[k], anchor) for k in fits])
    order = np.argsort(-scores, kind="stable")
    best = order[related.rank - 1]
    sided = anchor is not None and related.relation in ("left", "right", "front", "behind")
    if sided and scores[best] < 0:
        return None
    if margin:
        limit = gap_margin if related.anchor == GRIPPER else margin
        limit = np.log(SIZE_RATIO) if related.relation in ("small", "large") else limit
        gaps = np.abs(scores if sided else np.delete(scores - scores[best], best))
        if gaps.min(initial=np.inf) < limit or (sided and (scores > 0).sum() != 1):
            return None
    return fits[int(best)]


def _score(related: Related, placed: Placed, anchor: Placed | None) -> float:
    """Return how much a thing is what the relation says."""
    right, near = placed.right, placed.near
    if anchor is not None:
        right, near = right - anchor.right, near - anchor.near
    away = placed.gap if related.anchor == GRIPPER else float(np.hypot(right, near))
    return {
        "left": -right,
        "right": right,
        "front": near,
        "behind": -near,
        "nearest": -away,
        "farthest": away,
        "small": -float(np.log(placed.size)),
        "large": float(np.log(placed.size)),
    }[related.relation]


@cache
def relation_words() -> dict[str, Any]:
    """Return related.yaml."""
    return read_yaml("related.yaml")


def relations_to(
    things: Sequence[Placed], *, targets: Sequence[int], margin: float, gap_margin: float
) -> Iterator[tuple[Related, int]]:
    """Yield everything that can be said to tell one of `targets` from the others, and which it is:
    where two of a noun are there, or of all things alike.
    """
    words = relation_words()
    nouns = [t.thing.noun for t in things]
    alike = sorted({n for n in nouns if n is not None and nouns.count(n) > 1})
    named = [
        t.thing for t in things if t.thing.noun and sum(t.thing.fits(o.thing) for o in things) == 1
    ]
    kinds = [Thing(noun=noun) for noun in alike]
    every = [Thing()]
    asked = [Related(r, t, a) for r, t, a in product(words["anchored"], kinds, named)]
    asked += [Related(r, t, GRIPPER) for r, t in product(("nearest", "farthest"), kinds)]
    asked += [Related("nearest", Thing(), GRIPPER)]
    asked += [Related(r, t) for r, t in product(words["after"], kinds + every)]
    asked += [Related(r, t) for r, t in product(("small", "large"), every)]
    for side, kind, rank in product(words["from"], kinds, range(2, len(words["ordinals"]) + 2)):
        asked.append(Related(side, kind, rank=rank))
    for related in asked:
        if related.anchor is not None and related.anchor.noun == related.target.noun:
            continue
        found = resolve(related, things, margin=margin, gap_margin=gap_margin)
        if found is not None and found in targets:
            yield related, found


def kind_of(related: Related) -> str:
    """Return what sort of relation it is: anchored, extreme, ordinal, size or gripper."""
    if related.rank > 1:
        return "ordinal"
    if related.anchor is not None:
        return "gripper" if related.anchor == GRIPPER else "anchored"
    return "size" if related.relation in ("small", "large") else "extreme"
