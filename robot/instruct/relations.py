"""Relations between the objects of a frame, each with a signed margin: those that hold, and those
that are known not to hold. What lies within an epsilon of changing is neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robot.instruct.graph import Object, Relation
from robot.instruct.raw import RawFrame

EPSILON_M, EPSILON_PX = 0.03, 10.0
MIN_VISIBLE, MIN_PIXELS = 0.15, 20  # below either, a thing is not seen well enough to talk about
NEAR_M = 0.15  # between centres
REST_M = 0.015  # how far the bottom of what rests may lie below the top of what it rests on
CONTACT_M = 0.005  # and how far above: what was just placed falls by a millimetre
SHALLOW_M = 0.03  # up to this height of a rim, things are on a receptacle, not in it
HIDDEN_SHARE = 0.15  # of what a thing would cover: from here on another one hides it
FINGER_M = 0.025  # free space that a finger needs beside what is grasped
Denied = frozenset[tuple[int, str, int]]


@dataclass(frozen=True)
class Kind:
    """A relation's unit, the frame that it is seen in, and the epsilon of its margin."""

    unit: str
    frame: str
    epsilon: float


KINDS = {
    "left": Kind("px", "camera", EPSILON_PX),
    "right": Kind("px", "camera", EPSILON_PX),
    "front": Kind("m", "camera", EPSILON_M),
    "behind": Kind("m", "camera", EPSILON_M),
    "robot_left": Kind("m", "robot", EPSILON_M),
    "robot_right": Kind("m", "robot", EPSILON_M),
    "near": Kind("m", "world", EPSILON_M),
    "on": Kind("m", "world", 0.005),
    "in": Kind("m", "world", 0.005),
    "touching": Kind("1", "world", 0.5),
    "grasped": Kind("1", "world", 0.5),
    "occludes": Kind("1", "camera", HIDDEN_SHARE),
    "blocks": Kind("m", "world", 0.01),
}


def is_clear(o: Object) -> bool:
    """Return whether a thing is seen well enough to talk about."""
    fraction = 1.0 if o.visible_fraction is None else o.visible_fraction
    return (
        o.kind != "marker"
        and o.box is not None
        and fraction >= MIN_VISIBLE
        and o.pixels >= MIN_PIXELS
    )


def relations_of(raw: RawFrame, objects: Sequence[Object]) -> tuple[tuple[Relation, ...], Denied]:
    """Return the relations that hold, and (head, name, tail) of those known not to."""
    ids = [o.id for o in objects]
    found: list[Relation] = []
    denied: set[tuple[int, str, int]] = set()
    for name, margin in _margins(raw, objects):
        kind = KINDS[name]
        np.fill_diagonal(margin, 0.0)
        for h, t in np.argwhere(margin >= kind.epsilon).tolist():
            value = float(margin[h, t])
            found.append(Relation(ids[h], name, ids[t], value, kind.unit, kind.frame))
        for h, t in np.argwhere(margin <= -kind.epsilon).tolist():
            denied.add((ids[h], name, ids[t]))
    return tuple(found), frozenset(denied)


def _margins(raw: RawFrame, objects: Sequence[Object]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a matrix (head, tail) per relation: positive where it holds."""
    yield from in_picture(objects)
    box = _Boxes(objects)
    base = raw.robot.T_world_base
    across = (box.centre - base[:3, 3]) @ base[:3, 1]  # the robot's left
    aside = across[:, None] - across[None, :]
    free = np.array([o.kind in ("object", "receptacle", "part") for o in objects])
    pairs = free[:, None] & free[None, :]
    yield "robot_left", np.where(pairs, aside, 0.0)
    yield "robot_right", np.where(pairs, -aside, 0.0)
    distance = np.linalg.norm(box.centre[:, None] - box.centre[None], axis=2)
    yield "near", np.where(pairs, NEAR_M - distance, 0.0)
    touching = _symmetric(raw.contacts, objects)
    yield from _resting(box, touching, objects, free)
    yield "touching", np.where(touching, 1.0, -1.0)
    yield "grasped", _grasped(raw, objects)
    yield "occludes", _hiding(raw, objects)
    yield "blocks", _blocking(box, pairs, objects)


def in_picture(objects: Sequence[Object]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what boxes and depths say: left, right, front and behind."""
    clear = np.array([is_clear(o) and o.kind != "surface" for o in objects])
    edges = np.array([o.box or (0, 0, 0, 0) for o in objects], float)
    low, high = edges[:, 0], edges[:, 2]
    gap = (low + high)[None, :] / 2 - (low + high)[:, None] / 2
    # one thing within the width of another is neither left nor right of it
    ordered = np.sign(low[None] - low[:, None]) == np.sign(high[None] - high[:, None])
    both = clear[:, None] & clear[None, :]
    left = np.where(both & ordered, gap, 0.0)
    yield "left", left
    yield "right", -left
    depth = np.array([o.depth_m[2] if o.depth_m is not None else 0.0 for o in objects])
    nearer = np.where(both, depth[None, :] - depth[:, None], 0.0)
    yield "front", nearer
    yield "behind", -nearer


class _Boxes:
    """The boxes of all objects, upright in the world: centre, half edges, bottom and top."""

    def __init__(self, objects: Sequence[Object]) -> None:
        poses = np.stack([_known(o.T_world_object) for o in objects])
        centres = np.stack([_known(o.centre_m) for o in objects])
        halves = np.stack([_known(o.half_m) for o in objects])
        self.rotation = poses[:, :3, :3]
        self.centre = np.einsum("nij,nj->ni", self.rotation, centres) + poses[:, :3, 3]
        self.half = np.einsum("nij,nj->ni", np.abs(self.rotation), halves)
        self.local_half = halves
        self.bottom = self.centre[:, 2] - self.half[:, 2]
        self.top = self.centre[:, 2] + self.half[:, 2]


def _known(value: np.ndarray | None) -> np.ndarray:
    assert value is not None
    return value


def _symmetric(contacts: frozenset[tuple[int, int]], objects: Sequence[Object]) -> np.ndarray:
    place = {o.id: k for k, o in enumerate(objects)}
    matrix = np.zeros((len(objects), len(objects)), bool)
    for a, b in contacts:
        if a in place and b in place:
            matrix[place[a], place[b]] = matrix[place[b], place[a]] = True
    return matrix


def _resting(
    box: _Boxes, touching: np.ndarray, objects: Sequence[Object], free: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield "on" and "in". Margins are how far the head's centre is within the tail's outline.

    What lies in something as shallow as a plate lies on it.
    """
    offset = box.centre[:, None] - box.centre[None, :]  # from tail to head
    local = np.einsum("tji,htj->hti", box.rotation, offset)
    outline = (box.local_half[None, :, :2] - np.abs(local[..., :2])).min(axis=2)
    beside = (np.abs(offset[..., :2]) - box.half[:, None, :2] - box.half[None, :, :2]).max(axis=2)
    above = box.bottom[:, None] - box.top[None, :]
    cavity = np.array([o.cavity_m or (0.0, 0.0) for o in objects])
    hollow = (cavity[:, 0] > 0)[None, :]
    room = (cavity[None] - np.abs(local[..., :2])).min(axis=2)
    within = hollow & (room > 0) & (above < 0) & (box.bottom[:, None] > box.bottom - REST_M)
    shallow = hollow & (box.half[None, :, 2] < SHALLOW_M / 2)
    stands = (touching | (np.abs(above) < CONTACT_M)) & (above >= -REST_M) & (outline > 0)
    on = np.where(within & shallow, room, np.where(stands & ~within, outline, 0.0))
    apart = ~touching & ((beside >= EPSILON_M) | (above >= EPSILON_M))
    under = above <= -2 * box.half[None, :, 2] - 0.001  # its bottom is below the other's
    on_denied = (apart | under | (within & ~shallow)) & (on == 0)
    yield "on", np.where(free[:, None], np.where(on_denied, -1.0, on), 0.0)
    inside = np.where(within & ~shallow, room, np.where(apart, -1.0, 0.0))
    yield "in", np.where(free[:, None] & hollow & ~shallow, inside, 0.0)


def _grasped(raw: RawFrame, objects: Sequence[Object]) -> np.ndarray:
    """Return 1 where the hand (tail) holds the head, -1 where it does not touch it."""
    sides = [{i for i, s in raw.robot.finger_contacts if s == side} for side in (0, 1)]
    matrix = np.zeros((len(objects), len(objects)))
    hands = [k for k, o in enumerate(objects) if o.kind == "gripper"]
    for k, o in enumerate(objects):
        if o.kind in ("object", "receptacle", "part"):
            both, any_ = o.id in sides[0] & sides[1], o.id in sides[0] | sides[1]
            matrix[k, hands] = 1.0 if both else 0.0 if any_ else -1.0
    return matrix


def _hiding(raw: RawFrame, objects: Sequence[Object]) -> np.ndarray:
    """Return the share of what the tail would cover that shows the head, -1 where it is none."""
    n = len(objects)
    order = {o.id: k for k, o in enumerate(objects)}
    matrix = np.zeros((n, n))
    for t, o in enumerate(objects):
        whole = int(raw.alone[t].sum())
        if whole < MIN_PIXELS or o.kind in ("surface", "robot"):
            continue
        ids, counts = np.unique(raw.segmentation[raw.alone[t]], return_counts=True)
        matrix[:, t] = -1.0
        for number, count in zip(ids.tolist(), counts.tolist(), strict=True):
            if number in order:
                matrix[order[number], t] = count / whole
    return matrix


def _blocking(box: _Boxes, pairs: np.ndarray, objects: Sequence[Object]) -> np.ndarray:
    """Return the margin by which the head leaves a finger no room beside the tail, or stands on it;
    only heads that rise above the tail's middle can.

    A box says little about a pan with its handle: of what is no plain object it is known only that
    it is out of the way.
    """
    gap = np.abs(box.centre[:, None, :2] - box.centre[None, :, :2])
    gap = (gap - box.half[:, None, :2] - box.half[None, :, :2]).max(axis=2)
    high = box.top[:, None] > box.centre[None, :, 2]
    margin = np.where(pairs, np.where(high, FINGER_M - gap, -1.0), 0.0)
    plain = np.array([o.kind == "object" for o in objects])[:, None]
    return np.where(plain, margin, np.minimum(margin, 0.0))
