"""Put bodies on the table, one after the other, where they are free to stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun

WORKSPACE = (
    (-0.13, 0.12),
    (-0.18, 0.18),
)  # where objects stand: x and y [m] from the table's centre
FINGER_GAP_M = 0.032  # free space that the fingers need around a target
CLUTTER_GAP_M = 0.006
TALL_GAP_M = 0.065  # the hand is 20 cm wide and reaches down beside what it grasps
SIGHT_WIDTH_M = (
    0.07  # nothing tall stands this close to the line from the camera to what the goal names
)
YAW_RAD = 0.35
PLACEMENT_TRIES = 200


@dataclass(frozen=True)
class Placement:
    """One body on the table: position [m] from the table's centre, yaw [rad], colour RGB 0..1 (None
    keeps its own).

    `noun` is what a goal would call it; None for clutter that no goal can name. `stretch` scales
    its own axes, `pattern` is a fraction of the pool of training textures.
    """

    body: str
    x: float
    y: float
    yaw: float
    colour: tuple[float, float, float] | None
    noun: Noun | None = None
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pattern: float | None = None


class _Bodies:
    """Hands out unused bodies of a shape."""

    def __init__(self) -> None:
        self._free = dict(cat.body_names())

    def take(self, shape: str) -> str | None:
        name = next((name for name, s in self._free.items() if s == shape), None)
        if name is not None:
            del self._free[name]
        return name


class _Table:
    """Free space on the table, by rejection."""

    def __init__(self) -> None:
        self._taken: list[
            tuple[float, float, float, float]
        ] = []  # x, y, radius, gap: a disc per body, more with handles
        self._sight: list[tuple[float, float]] = []  # what the camera must see past tall things

    def place(
        self,
        shape: str,
        *,
        gap: float,
        rng: np.random.Generator,
        keep_sight: bool = False,
        stretch: float = 1.0,
        patch_m: float = 0.0,
    ) -> tuple[float, float] | None:
        """Return a free (x, y) for a shape, `stretch` times its size, that keeps `gap` to all
        others, or None when the table is full; amid a square of `patch_m` unless that is 0.
        """
        radius, tall = cat.footprint_m(shape), cat.is_tall(shape)
        gap = max(gap, TALL_GAP_M) if tall else gap
        half = patch_m / 2
        (x0, x1), (y0, y1) = ((-half, half), (-half, half)) if patch_m else WORKSPACE
        inset = 0.0 if patch_m else max(0.0, radius - 0.035)
        low_x, high_x, low_y, high_y = x0 + inset, x1 - inset, y0 + inset, y1 - inset
        discs = [
            (x * stretch, radius * stretch)
            for x, radius in cat.footprint_discs_m(shape, turned_rad=YAW_RAD)
        ]
        for _ in range(PLACEMENT_TRIES):
            # numbers, not arrays: numpy's functions of one number take a microsecond each
            x = low_x + (high_x - low_x) * rng.random()
            y = low_y + (high_y - low_y) * rng.random()
            free = all(
                math.hypot(x + dx - a, y - b) > s + r + max(gap, g)
                for a, b, r, g in self._taken
                for dx, s in discs
            )
            hides = tall and any(x > a and abs(y - b) < SIGHT_WIDTH_M for a, b in self._sight)
            if free and not hides:
                self._taken += [(x + dx, y, s, gap) for dx, s in discs]
                if keep_sight:
                    self._sight.append((x, y))
                return x, y
        return None


class Composer:
    """Puts bodies on the table one after the other; keeps what the goal's ambiguity depends on."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Take everything off the table."""
        self.table, self.bodies = _Table(), _Bodies()
        self.placements: list[Placement] = []

    @property
    def nouns(self) -> set[Noun]:
        return {p.noun for p in self.placements if p.noun}

    def add(
        self,
        shape: str,
        colour: np.ndarray | None,
        *,
        gap: float,
        rng: np.random.Generator,
        noun: Noun | None = None,
        keep_sight: bool = False,
        stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
        pattern: float | None = None,
        patch_m: float = 0.0,
    ) -> str | None:
        """Place one body; None when the table or the supply of bodies is exhausted."""
        spot = self.table.place(
            shape,
            gap=gap,
            rng=rng,
            keep_sight=keep_sight,
            stretch=max(1.0, *stretch[:2]),
            patch_m=patch_m,
        )
        body = self.bodies.take(shape) if spot else None
        if spot is None or body is None:
            return None
        yaw = float(rng.uniform(-YAW_RAD, YAW_RAD))
        painted = None if colour is None else _jittered(colour, rng=rng)
        self.placements.append(
            Placement(
                body=body,
                x=spot[0],
                y=spot[1],
                yaw=yaw,
                colour=painted,
                noun=noun,
                stretch=stretch,
                pattern=pattern,
            )
        )
        return body

    def add_copies(
        self, body: str | None, count: int, *, gap: float, rng: np.random.Generator
    ) -> None:
        """Place up to `count` exact copies of a body, as many as table and supply allow."""
        original = next((p for p in self.placements if p.body == body), None)
        if original is None:
            return
        shape = cat.body_names()[original.body]
        for _ in range(count):
            spot = self.table.place(shape, gap=gap, rng=rng, keep_sight=True)
            copy = self.bodies.take(shape) if spot else None
            if spot is None or copy is None:
                return
            yaw = float(rng.uniform(-YAW_RAD, YAW_RAD))
            self.placements.append(replace(original, body=copy, x=spot[0], y=spot[1], yaw=yaw))

    def add_noun(
        self,
        noun: Noun,
        *,
        gap: float,
        rng: np.random.Generator,
        keep_sight: bool = False,
        patch_m: float = 0.0,
    ) -> str | None:
        return self.add(
            noun.shape,
            cat.rgb(noun.colour),
            gap=gap,
            rng=rng,
            noun=noun,
            keep_sight=keep_sight,
            patch_m=patch_m,
        )

    def add_some(self, nouns: Sequence[Noun], count: int, *, rng: np.random.Generator) -> None:
        """Add up to `count` of the nouns, all equally likely."""
        for k in rng.permutation(len(nouns))[:count]:
            self.add_noun(nouns[k], gap=CLUTTER_GAP_M, rng=rng)


def _jittered(colour: np.ndarray, *, rng: np.random.Generator) -> tuple[float, float, float]:
    jitter = cat.catalogue()["colour_jitter"]
    r, g, b = np.clip(colour + rng.uniform(-jitter, jitter, 3), 0.0, 1.0)
    return float(r), float(g), float(b)
