"""What is true of the regions of a look: the simulator's labels in the reader's words.

for region in true_regions(instances, parts, objects):
    region.mask, region.words["names"], region.words["colours"]
relations, offsets = true_pairs(regions, objects)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from robot.data.scene_looks import FIRST_OBJECT, GRIPPER, NOTHING, SeenObject
from robot.perception.regions.vocabulary import ATTRIBUTES, UNKNOWN, vocabulary

MIN_PIXELS = 10  # fewer are not a region
SIZES_M = (0.06, 0.10)  # of the longest extent: where small ends, where medium ends
LYING = 0.7  # cosine of the tilt below which a thing lies
LIFTED_M = {True: 0.06, False: 0.02}  # above the table when held; lying things rest higher
RECEPTACLES = ("plate", "bowl", "pan", "pot")
OWN_COLOURS = {"beak": "orange"}  # of parts, whatever the thing's
SIDE_M, CLEAR, CLOSE = 0.03, 1.3, 0.75  # a side: this far, and this much more than across it
NEAR_M, FAR_M = 0.03, 0.05  # gaps between which "next to" is a matter of taste
INSIDE_M = 0.03  # above the receptacle's own height, at most
REST_M = 0.8  # height of the table


@dataclass(frozen=True)
class TrueRegion:
    """One region, what it shows, and the words for it by kind of attribute (None: no word, or not
    known). `thing` is the index of its object, or None; `held_out` says that the combination of its
    name and colour is kept from training.
    """

    mask: Bool[np.ndarray, "h w"]
    granularity: str
    words: Mapping[str, str | None]
    thing: int | None = None
    held_out: bool = False

    @property
    def part(self) -> str | None:
        return self.words.get("parts")

    def indices(self) -> dict[str, int]:
        """Return the index of every word in the vocabulary, UNKNOWN without one."""
        known = vocabulary()
        return {
            kind: UNKNOWN
            if (word := self.words.get(kind)) is None
            else known.words(kind).index(word)
            for kind in ATTRIBUTES
        }


def true_regions(
    instances: UInt8[np.ndarray, "h w"],
    parts: UInt8[np.ndarray, "h w"],
    objects: Sequence[SeenObject],
    *,
    least: int = MIN_PIXELS,
) -> tuple[TrueRegion, ...]:
    """Return everything of at least `least` pixels that one camera shows: things and their parts,
    the gripper and its fingers, table, room and arm.
    """
    found = [*_things(instances, parts, objects), *_gripper(instances, parts)]
    found += _scene(instances, parts)
    return tuple(region for region in found if int(region.mask.sum()) >= least)


def _things(
    instances: np.ndarray, parts: np.ndarray, objects: Sequence[SeenObject]
) -> Iterator[TrueRegion]:
    known = vocabulary()
    for k, thing in enumerate(objects):
        mask = instances == FIRST_OBJECT + k
        if thing.shape not in known.names or not mask.any():
            continue
        colour = thing.colour if thing.colour in known.colours and not thing.patterned else None
        held_out = known.is_held_out(thing.shape, thing.colour)
        material = "patterned" if thing.patterned else "plain"
        words = {"names": thing.shape, "colours": colour, "materials": material}
        whole = {"parts": "whole", "states": _state(thing), "sizes": _size(thing)}
        yield TrueRegion(mask, "object", {**words, **whole}, thing=k, held_out=held_out)
        for number, part in enumerate(known.parts_of.get(thing.shape, ()), start=1):
            if part is not None:
                own = {"parts": part, "colours": OWN_COLOURS.get(part, colour)}
                shown = mask & (parts == number)
                yield TrueRegion(shown, "part", {**words, **own}, thing=k, held_out=held_out)


def _gripper(instances: np.ndarray, parts: np.ndarray) -> Iterator[TrueRegion]:
    mask = instances == GRIPPER
    yield TrueRegion(mask, "object", {"names": "gripper", "parts": "whole"})
    for finger in (2, 3):
        yield TrueRegion(mask & (parts == finger), "part", {"names": "gripper", "parts": "finger"})


def _scene(instances: np.ndarray, parts: np.ndarray) -> Iterator[TrueRegion]:
    for number, name in enumerate(vocabulary().scene_names, start=1):
        mask = (instances == NOTHING) & (parts == number)
        yield TrueRegion(mask, "scene", {"names": name, "parts": "whole"})


def _state(thing: SeenObject) -> str:
    _, x, y, _ = thing.quaternion
    lying = 1 - 2 * (x * x + y * y) < LYING  # the z axis' own height
    return "held" if _above_m(thing) > LIFTED_M[lying] else "lying" if lying else "upright"


def _above_m(thing: SeenObject) -> float:
    return thing.position_m[2] - REST_M


def _size(thing: SeenObject) -> str:
    longest = max(2 * thing.radius_m, thing.height_m)
    return vocabulary().sizes[sum(longest >= end for end in SIZES_M)]


def true_pairs(
    regions: Sequence[TrueRegion], objects: Sequence[SeenObject]
) -> tuple[Float32[np.ndarray, "n n k"], Float32[np.ndarray, "n n 3"]]:
    """Return 1 or 0 for every relation of region i to region j, NaN where it is a matter of taste
    or not known; and where i lies from j [m] (x towards the camera in front, y to its right, z up).
    """
    names = list(vocabulary().relations)
    relations = np.full((len(regions), len(regions), len(names)), np.nan, np.float32)
    offsets = np.full((len(regions), len(regions), 3), np.nan, np.float32)
    for i, one in enumerate(regions):
        for j, other in enumerate(regions):
            if i == j:
                continue
            relations[i, j, names.index("part")] = _is_part(one, other)
            if {one.granularity, other.granularity} == {"object"} and not (
                one.thing is None or other.thing is None
            ):
                a, b = objects[one.thing], objects[other.thing]
                for name, value in _relations(a, b).items():
                    relations[i, j, names.index(name)] = value
                offsets[i, j] = np.subtract(a.position_m, b.position_m)
    return relations, offsets


def _is_part(one: TrueRegion, other: TrueRegion) -> float:
    same = one.words["names"] == other.words["names"] and one.thing == other.thing
    return float(same and (one.granularity, other.granularity) == ("part", "object"))


def _relations(a: SeenObject, b: SeenObject) -> dict[str, float]:
    x, y, z = np.subtract(a.position_m, b.position_m)
    apart = float(np.hypot(x, y))
    gap = apart - a.radius_m - b.radius_m
    return {
        "left": _side(-y, across=x),
        "right": _side(y, across=x),
        "front": _side(x, across=y),
        "behind": _side(-x, across=y),
        "near": 1.0 if gap < NEAR_M else 0.0 if gap > FAR_M else np.nan,
        "inside": _inside(a, b, apart=apart, above=float(z)),
    }


def _side(along: float, *, across: float) -> float:
    if along > SIDE_M and along > CLEAR * abs(across):
        return 1.0
    return 0.0 if along < CLOSE * max(SIDE_M, abs(across)) else np.nan


def _inside(a: SeenObject, b: SeenObject, *, apart: float, above: float) -> float:
    if b.shape not in RECEPTACLES or a.shape in RECEPTACLES:
        return 0.0
    if apart > b.radius_m or _above_m(b) > INSIDE_M:
        return 0.0
    low = above < INSIDE_M if _state(a) == "upright" else above < LIFTED_M[True]
    if apart < 0.7 * b.radius_m:
        return float(low) if above < INSIDE_M or above > 2 * INSIDE_M else np.nan
    return np.nan
