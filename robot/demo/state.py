"""What the page shows, as one frozen value, and the pure functions that change it.

The page draws this and keeps nothing of its own: reload it, or open a second one, and it shows the
same. Pictures travel beside it (robot.demo.server).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from robot.perception.regions.everything import Segment
from robot.spaces import Camera
from robot.system.command import plain
from robot.types import MASK_CHANNELS, InputError, Mask, Region
from robot.words.regions import MOST_REGIONS

Phase = Literal["loading", "ready", "acting"]
Source = Literal["simulated", "robot", "picture"]
Who = Literal["you", "robot"]
MOST_TURNS = 200  # of a conversation that are kept
FINER = 4  # outlines are found on masks this many times larger, so that they are no stairs
SMALLEST_SIDE = 2.0  # of a drawn box [px]


@dataclass(frozen=True)
class Turn:
    """One line of the conversation."""

    who: Who
    text: str
    kind: Literal["goal", "outcome", "question", "answer"]


@dataclass(frozen=True)
class Outline:
    """Where a camera shows a role of the goal: rings of (x, y) in pixels of the frame."""

    camera: str
    role: str
    rings: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class Found:
    """What the masks of a goal show. `presence` is that of the target in the camera that shows it
    best, where it is known.
    """

    status: str
    outlines: tuple[Outline, ...]
    presence: float | None = None


@dataclass(frozen=True)
class Choice:
    """The scene that is shown: initial states are a function of it."""

    task: str
    scene: str
    seed: int
    episode: int


@dataclass(frozen=True)
class Abilities:
    """What the station at hand can do: the page shows no button for anything else."""

    acts: bool = True
    confirms: bool = False  # asks before it moves, and has an emergency stop
    arranges: bool = True  # begins another scene
    tasks: tuple[str, ...] = ()  # to choose from for another scene, and their conditions
    scenes: tuple[str, ...] = ()
    takes_regions: bool = True  # in goals
    reads: bool = False  # regions: names, answers, masks of everything
    limits: str = ""  # of a real arm's motion, for who is asked


@dataclass(frozen=True)
class State:
    """All that the page shows but for pictures."""

    phase: Phase = "loading"
    status: str = ""
    problem: str = ""  # what was wrong with what was asked for last, in one sentence
    source: Source = "simulated"
    abilities: Abilities = Abilities()
    cameras: tuple[Camera, ...] = ()
    choice: Choice | None = None
    goal: str = ""  # the scene's own, as a suggestion
    regions: tuple[Region, ...] = ()
    records: tuple[Mapping[str, Any], ...] = ()  # what is said of the regions
    segments: tuple[Segment, ...] = ()  # of everything, to click on
    found: Found | None = None
    turns: tuple[Turn, ...] = ()
    success: bool | None = None  # of the goal acted on last
    estopped: str = ""
    step: int = 0

    def changed(self, since: State | None) -> dict[str, Any]:
        """Return, as JSON, what differs from a state that the page has; all where it has none."""
        return {
            name: plain(DRAWN[name](value) if name in DRAWN else value)
            for name, value in vars(self).items()
            if since is None or value is not getattr(since, name)
        }


def drawn_segment(segment: Segment) -> dict[str, Any]:
    """Return what the page draws of a segment."""
    return {**drawn_of(segment.region), "granularity": segment.granularity, "box": None}


def drawn_of(region: Region) -> dict[str, Any]:
    """Return what the page draws of a region: its box or point, and the outline of its mask."""
    return {
        "index": region.index,
        "camera": region.camera,
        "box": region.box,
        "click": region.click,
        "bounds": region.bounds,
        "rings": () if region.mask is None else rings_of(region.mask.astype(np.float32)),
    }


DRAWN: dict[str, Callable[[Any], Any]] = {  # by field of State; all others are JSON as they are
    "regions": lambda regions: [drawn_of(region) for region in regions],
    "segments": lambda segments: [drawn_segment(segment) for segment in segments],
}


def with_turn(state: State, turn: Turn) -> State:
    """Return the state with one more line of conversation, the oldest left out where too many."""
    return replace(state, turns=(*state.turns, turn)[-MOST_TURNS:])


def with_region(state: State, region: Region) -> State:
    """Return the state with one more region; InputError where its camera has that index already."""
    if any((r.index, r.camera) == (region.index, region.camera) for r in state.regions):
        raise InputError(
            f"got region {region.index} twice in {region.camera}, expected it once in each "
            "camera; remove the first one"
        )
    return replace(state, regions=(*state.regions, region), problem="")


def point_in(camera: Camera, region: Region) -> Region:
    """Return a region whose click lies within the camera's frame."""
    if region.click is None:
        return region
    x, y = region.click
    within = float(np.clip(x, 0, camera.width - 1)), float(np.clip(y, 0, camera.height - 1))
    return replace(region, click=within)


def free_index(regions: Sequence[Region]) -> int:
    """Return the lowest number that no region has; InputError where there are too many."""
    taken = {region.index for region in regions}
    index = next(k for k in range(1, len(taken) + 2) if k not in taken)
    if index > MOST_REGIONS:
        raise InputError(
            f"got one region more than {MOST_REGIONS}, expected at most as many; remove some"
        )
    return index


def without_region(state: State, index: int | None) -> State:
    """Return the state without region `index`, or without any; the others keep their numbers."""
    kept = () if index is None else tuple(r for r in state.regions if r.index != index)
    return replace(state, regions=kept, problem="")


def box_in(
    camera: Camera, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Return a box drawn in any direction as (x0, y0, x1, y1) within the camera's frame.

    Raises InputError where it is too small to be meant.
    """
    (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    x0, x1 = (float(np.clip(x, 0, camera.width)) for x in (x0, x1))
    y0, y1 = (float(np.clip(y, 0, camera.height)) for y in (y0, y1))
    if min(x1 - x0, y1 - y0) < SMALLEST_SIDE:
        raise InputError(
            f"got a box of {x1 - x0:.0f} x {y1 - y0:.0f} px, expected at least "
            f"{SMALLEST_SIDE:.0f} px a side; draw it around the object"
        )
    return x0, y0, x1, y1


def found_of(mask: Mask, cameras: Sequence[Camera]) -> Found:
    """Return what the page shows of a goal's masks."""
    return Found(
        status=mask.status[0].value,
        presence=float(mask.presence[:, 0].max()),
        outlines=tuple(
            Outline(camera=camera.name, role=role.name.lower(), rings=rings)
            for camera, roles in zip(cameras, mask.probability, strict=True)
            for role, probability in zip(MASK_CHANNELS, roles, strict=True)
            if (rings := rings_of(probability))
        ),
    )


def found_in(labels: Mapping[str, UInt8[np.ndarray, "h w"]], *, status: str) -> Found:
    """Return what the page shows of label maps: a robot.types.Label per pixel."""
    return Found(
        status=status,
        outlines=tuple(
            Outline(camera=camera, role=role.name.lower(), rings=rings)
            for camera, roles in labels.items()
            for role in MASK_CHANNELS
            if (rings := rings_of((roles == role.value).astype(np.float32)))
        ),
    )


def rings_of(
    probability: Float32[np.ndarray, "h w"], *, above: float = 0.5
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the outlines of where a mask is above a threshold, in pixels of its frame."""
    height, width = probability.shape
    if not (probability > above).any():
        return ()
    large = cv2.resize(probability, (width * FINER, height * FINER), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours(
        (large > above).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_TC89_L1
    )
    return tuple(
        tuple((round(float(x), 2), round(float(y), 2)) for x, y in (ring[:, 0] + 0.5) / FINER)
        for ring in contours
        if len(ring) > 2
    )
