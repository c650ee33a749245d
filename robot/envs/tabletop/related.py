"""Scenes of `pick_related`: several things alike, one of which a relation tells from the others.

What is meant is clear by MARGIN_M, to the eye of the camera that faces the robot; things of the
scene that would make it doubtful are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.envs.tabletop.placing import FINGER_GAP_M, Composer, Placement
from robot.words.items import Thing
from robot.words.related import GRIPPER, Placed, Related, relation_words, resolve
from robot.words.related_phrases import say

MARGIN_M, GRIPPER_MARGIN_M = 0.03, 0.05  # the hand's start varies
HOME_M = (-0.10, 0.0)  # where the finger tips are when an episode begins, from the table's centre
# The camera in front: how far away along its axis the table's centre is, and by how much a metre
# towards it shortens that.
DISTANCE_M, TOWARDS = 0.80, 0.68
KINDS = {"anchored": 0.4, "extreme": 0.2, "ordinal": 0.2, "size": 0.1, "gripper": 0.1}
RECEPTACLE_SHARE = 0.2  # of the anchors
TRIES = 200  # arrangements of one relation, before another one is drawn


def draw_related(*, rng: np.random.Generator) -> Related:
    """Draw what a goal says of its object."""
    words, shapes = relation_words(), cat.catalogue()["graspable"]

    def one_of(options):
        return options[int(rng.random() * len(options))]

    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    target = Thing(noun=one_of(shapes))
    if kind == "anchored":
        receptacle = rng.random() < RECEPTACLE_SHARE
        others = cat.catalogue()["receptacles"] if receptacle else shapes
        noun = one_of([s for s in others if s != target.noun])
        anchor = Thing(noun=noun, colour=one_of(cat.colours_of(noun)))
        return Related(one_of(list(words["anchored"])), target, anchor)
    if kind == "ordinal":
        return Related(one_of(list(words["from"])), target, rank=2 + int(rng.random() * 2))
    any_ = Thing() if rng.random() < 0.5 else target
    if kind == "extreme":
        return Related(one_of(list(words["after"])), any_)
    if kind == "size":
        return Related(one_of(("small", "large")), Thing())
    return Related("nearest", any_, GRIPPER)


def compose(composer: Composer, related: Related, *, rng: np.random.Generator) -> str | None:
    """Put things on an empty table so that a relation tells one from the others; return its body,
    None where none of TRIES arrangements does.
    """
    for _ in range(TRIES):
        composer.clear()
        for noun in _nouns(related, rng=rng):
            composer.add_noun(noun, gap=FINGER_GAP_M, rng=rng, keep_sight=True)
        target = meant(related, composer.placements)
        if target is not None and cat.body_names()[target] in cat.catalogue()["graspable"]:
            return target
    return None


def _nouns(related: Related, *, rng: np.random.Generator) -> list[Noun]:
    """Draw what stands there: two or three things alike (or of any shape), and the anchor; large
    things first.
    """
    anchor, shapes = related.anchor, cat.catalogue()["graspable"]
    there = [] if anchor in (None, GRIPPER) else [Noun(str(anchor.noun), str(anchor.colour))]  # type: ignore[union-attr]
    if related.target.noun is None:
        every = [Noun(s, c) for s in shapes for c in cat.colours_of(s)]
        count = int(rng.integers(3, 6))
        return [*there, *(every[k] for k in rng.permutation(len(every))[:count])]
    colours = rng.permutation(list(cat.colours_of(related.target.noun)))
    count = int(rng.integers(max(2, related.rank), 4))
    return [*there, *(Noun(related.target.noun, str(c)) for c in colours[:count])]


def meant(related: Related, placements: Sequence[Placement], *, margin: float = MARGIN_M):
    """Return the body that a relation tells from at least one other; None where that is not
    clear.
    """
    things = [_placed(p) for p in placements]
    gap = GRIPPER_MARGIN_M if margin else 0.0
    if margin and sum(related.target.fits(t.thing) for t in things) < 2:
        return None
    found = resolve(related, things, margin=margin, gap_margin=gap)
    return None if found is None else placements[found].body


def without_doubt(
    placements: Sequence[Placement], *, sure: int, related: Related, target: str | None
) -> tuple[Placement, ...]:
    """Return the first `sure` placements and those of the others that leave it clear that `target`
    is meant; where that is absent (None), those that could not be meant.
    """
    if target is None:
        return tuple(p for p in placements if not related.target.fits(_placed(p).thing))
    kept = list(placements[:sure])
    for placement in placements[sure:]:
        if meant(related, [*kept, placement]) == target:
            kept.append(placement)
    return tuple(kept)


def noun_phrase(related: Related, *, held_out: bool, rng: np.random.Generator) -> str:
    """Say what is meant, without the article."""

    def called(thing: Thing) -> str:
        if thing.colour is not None:
            return Noun(str(thing.noun), thing.colour).phrase(rng=rng)
        return str(rng.choice(cat.catalogue()["nouns"][thing.noun]))

    return say(related, called=called, held_out=held_out, rng=rng)


def _placed(placement: Placement) -> Placed:
    """Return where a body stands as the camera in front sees it."""
    shape = cat.body_names()[placement.body]
    noun = Noun(shape, "") if placement.noun is None else placement.noun
    named, x, y = astuple(noun), placement.x, placement.y
    return Placed(
        thing=Thing(noun=named[0], colour=named[1] or None),
        right=y * DISTANCE_M / (DISTANCE_M - TOWARDS * x),
        near=x,
        size=cat.size_m(shape) * float(np.cbrt(np.prod(placement.stretch))),
        gap=float(np.hypot(x - HOME_M[0], y - HOME_M[1])),
    )
