"""What a goal means that tells its object from others by place or size, from the arrays of the
first image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from robot.instruct.verify.reading import Picture, classes_by_noun
from robot.instruct.verify.truth import Truth, checks, parts
from robot.instruct.wording import relation_words, vocabulary

APART_M, LARGER = 0.025, 1.2  # a little less than what generators keep clear of
CLASSES = ("object", "receptacle", "part")
HAND = "hand"


@dataclass(frozen=True)
class Said:
    """Classes and colours, None where they are left open; `anchor` may be the HAND."""

    relation: str
    target: tuple[str | None, str | None]
    anchor: tuple[str | None, str | None] | str | None = None
    rank: int = 1


@checks("goal_related")
def _meant(pictures, slots, record) -> Truth:
    target = one_meant(pictures[0], said(slots["goal"]))
    shown = [[i for i in (target,) if p.area.get(i, 0)] for p in pictures]
    mask = frozenset().union(*(parts(k, ids) for k, ids in enumerate(shown)))
    hands = frozenset().union(*(parts(k, p.hand) for k, p in enumerate(pictures)))
    return Truth(lambda a: pictures[0].one(a) == target, mask, hands)


@cache
def said(goal: str) -> Said:
    """Return what a goal says of its object; ValueError where it says nothing."""
    for kind, relation, pattern in _patterns():
        if found := re.search(pattern, goal.lower()):
            anchor = rank = None
            if kind == "anchored":
                hand = found["anchor"] in relation_words()["gripper"]
                anchor = HAND if hand else _thing(found["anchor"].removeprefix("the "))
            if kind == "from":
                rank = relation_words()["ordinals"].index(found["ordinal"]) + 2
            return Said(relation, _thing(found["target"]), anchor, rank or 1)
    raise ValueError(f"no relation in {goal!r}")


def _thing(text: str) -> tuple[str | None, str | None]:
    *colour, noun = text.split(" ") if text not in classes_by_noun() else [text]
    return classes_by_noun().get(noun), colour[0] if colour else None


@cache
def _patterns() -> list[tuple[str, str, str]]:
    """Return (kind, relation, pattern) of all phrases, the longest first."""
    return sorted(_every_pattern(), key=lambda entry: -len(entry[2]))


def _every_pattern() -> Iterator[tuple[str, str, str]]:
    words = relation_words()

    def any_of(options) -> str:
        return "|".join(map(re.escape, sorted(options, key=len, reverse=True)))

    colours = any_of(vocabulary()["attributes"]["colour"])
    noun = f"(?:(?:{colours}) )?(?:{any_of(classes_by_noun())})"
    target = rf"\b(?P<target>{noun}|{any_of(words['anything'])})\b"
    anchor = rf"(?P<anchor>{any_of(words['gripper'])}|the {noun})\b"
    ordinal = rf"\b(?P<ordinal>{any_of(words['ordinals'])})"
    shapes = {
        "anchored": "{target} {phrase} {anchor}",
        "from": "{ordinal} {target} {phrase}\\b",
        "after": "{target} {phrase}\\b",
        "before": "\\b{phrase} {target}",
    }
    slots = {"target": target, "anchor": anchor, "ordinal": ordinal}
    for kind, shape in shapes.items():
        for relation, phrases in words[kind].items():
            for phrase in phrases:
                yield kind, relation, shape.format(phrase=re.escape(phrase), **slots)


def one_meant(p: Picture, goal: Said) -> int:
    """Return the thing that is meant; ValueError where that is not clear."""
    every = [i for i, t in p.things.items() if t.kind in CLASSES]
    fits = [i for i in every if _fits(p, i, goal.target)]
    if goal.anchor is None or isinstance(goal.anchor, str):
        return _ranked(fits, lambda i: _alone(p, goal, i), goal)
    anchors = [i for i in every if _fits(p, i, goal.anchor)]
    if len(anchors) != 1:
        raise ValueError(f"{len(anchors)} things may be the anchor")
    (anchor,) = anchors
    fits = [i for i in fits if i != anchor]
    if goal.relation in ("nearest", "farthest"):
        sign = 1 if goal.relation == "nearest" else -1
        return _ranked(fits, lambda i: sign * _on_the_table(p, i, anchor), goal)
    sides = {i: _aside(p, i, goal.relation) - _aside(p, anchor, goal.relation) for i in fits}
    there = [i for i, by in sides.items() if by > 0]
    if len(fits) < 2 or len(there) != 1 or min(map(abs, sides.values())) < APART_M:
        raise ValueError(f"{len(there)} things are {goal.relation} of the anchor")
    return there[0]


def _fits(p: Picture, i: int, thing: tuple[str | None, str | None]) -> bool:
    (cls, colour), mine = thing, p.things[i]
    return cls in (None, mine.cls) and (colour is None or mine.colour in (None, colour))


def _ranked(fits: list[int], key, goal: Said) -> int:
    """Return the thing with the rank-th smallest key, which no other comes near."""
    values = {i: key(i) for i in fits}
    order = sorted(values, key=values.__getitem__)
    if len(order) < max(2, goal.rank):
        raise ValueError(f"{len(order)} things to choose from")
    found = order[goal.rank - 1]
    apart = np.log(LARGER) if goal.relation in ("small", "large") else APART_M
    if min(abs(v - values[found]) for i, v in values.items() if i != found) < apart:
        raise ValueError(f"several things are as much {goal.relation}")
    return found


def _alone(p: Picture, goal: Said, i: int) -> float:
    """Return what is smallest for the thing that is most as the relation says."""
    if goal.anchor == HAND:
        away = float(np.linalg.norm(p.centre(i) - p.raw.robot.T_world_ee[:3, 3]))
        return away if goal.relation == "nearest" else -away
    if goal.relation in ("small", "large"):
        log_edge = float(np.log(p.things[i].half_m).mean())
        return log_edge if goal.relation == "small" else -log_edge
    return -_aside(p, i, goal.relation)


def _aside(p: Picture, i: int, relation: str) -> float:
    """Return how far a thing lies towards a side [m]: by its column, or by how near it is along
    the table.
    """
    K, pose = p.raw.K, p.raw.T_world_camera
    x, y, z = np.linalg.inv(pose)[:3] @ np.append(p.centre(i), 1.0)
    column = K[0, 0] * x / z
    if relation in ("left", "right"):
        scale = np.mean([_depth(p, j) for j, t in p.things.items() if t.kind in CLASSES])
        return float(column / K[0, 0] * scale) * (1 if relation == "right" else -1)
    down = pose[:3, 1] * [1, 1, 0]
    towards = float(p.centre(i) @ down / np.linalg.norm(down))
    return towards if relation == "front" else -towards


def _depth(p: Picture, i: int) -> float:
    return float((p.centre(i) - p.raw.T_world_camera[:3, 3]) @ p.raw.T_world_camera[:3, 2])


def _on_the_table(p: Picture, a: int, b: int) -> float:
    """Return how far apart two things are, by column and along the table."""
    across = _aside(p, a, "right") - _aside(p, b, "right")
    along = _aside(p, a, "front") - _aside(p, b, "front")
    return float(np.hypot(across, along))
