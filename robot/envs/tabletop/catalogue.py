"""The catalogue and the wordings, read once from the YAML files beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import yaml

from robot.envs.tabletop.bodies import HANDLE_HALF_WIDTH, HANDLES, SHAPES

HALF_WIDTH_M = {"cube": 0.022, "duck": 0.025}  # where it is not the footprint's radius
HELD_OUT_SHARE = 0.1  # of the wordings of each goal kind


@cache
def catalogue() -> dict:
    """Return catalogue.yaml."""
    return yaml.safe_load(
        resources.files("robot.envs.tabletop").joinpath("catalogue.yaml").read_text()
    )


@cache
def wordings(kind: str, *, held_out: bool) -> tuple[str, ...]:
    """Return the seen or the held-out templates of a goal kind ("pick" or "place")."""
    templates = yaml.safe_load(
        resources.files("robot.envs.tabletop").joinpath("wordings.yaml").read_text()
    )[kind]
    split = len(templates) - max(1, round(HELD_OUT_SHARE * len(templates)))
    return tuple(templates[split:] if held_out else templates[:split])


@cache
def nonsense() -> tuple[str, ...]:
    """Return sentences that have nothing to do with any goal: they name no object, no colour and no
    motion of the family.
    """
    return tuple(
        yaml.safe_load(
            resources.files("robot.envs.tabletop").joinpath("wordings.yaml").read_text()
        )["nonsense"]
    )


@cache
def body_names() -> dict[str, str]:
    """Return {body name: shape} of every body that a scene can use; robosuite's meshes are their
    own shape.
    """
    own = {
        f"{shape}_{k}": shape
        for shape, count in catalogue()["instances"].items()
        for k in range(count)
    }
    return own | {f"{mesh}_0": mesh for mesh in catalogue()["meshes"]}


def footprint_m(shape: str) -> float:
    """Return the radius [m] of a shape's footprint."""
    return SHAPES[shape].radius if shape in SHAPES else catalogue()["footprint_m"][shape]


@cache
def footprint_discs_m(shape: str, *, turned_rad: float) -> tuple[tuple[float, float], ...]:
    """Return discs (x from the body's origin, radius) [m] that hold the shape and its handles,
    yawed by up to `turned_rad`.

    Both ways; x is the axis of zero yaw.
    """
    discs = [(0.0, footprint_m(shape))]
    for start, length, _ in HANDLES.get(shape, ()):
        middle, tip = start + length / 2, max(abs(start), abs(start + length))
        along, across = (
            tip * np.cos(turned_rad) - abs(middle),
            tip * np.sin(turned_rad) + HANDLE_HALF_WIDTH,
        )
        discs.append((middle, float(np.hypot(max(along, length / 2), across))))
    return tuple(discs)


def size_m(shape: str) -> float:
    """Return the edge [m] of a cube as large as the upright box around a shape."""
    half = HALF_WIDTH_M.get(shape, footprint_m(shape))
    height = SHAPES[shape].height if shape in SHAPES else 2 * rest_height_m(shape)
    return float(np.cbrt((2 * half) ** 2 * height))


def rest_height_m(shape: str) -> float:
    """Return how far the body's origin rests above the table [m]."""
    return 0.001 if shape in SHAPES else catalogue()["rest_height_m"][shape]


def is_tall(shape: str) -> bool:
    """Return whether a shape reaches up to the hand that grasps beside it, or hides things from the
    camera.
    """
    return (SHAPES[shape].height if shape in SHAPES else 2 * rest_height_m(shape)) > 0.07


def colours_of(shape: str) -> tuple[str, ...]:
    """Return the named colours that a known shape comes in."""
    if shape == "duck":
        return tuple(catalogue()["duck_colours"])
    return tuple(catalogue()["receptacle_colours"].get(shape, catalogue()["object_colours"]))


def rgb(name: str) -> np.ndarray:
    """Return a named colour, RGB 0..1."""
    named = catalogue()["colours"] | catalogue()["unseen_colours"]
    return np.array(named[name], dtype=np.float64)


@dataclass(frozen=True)
class Noun:
    """What a goal calls an object: a shape and a named colour."""

    shape: str
    colour: str

    def phrase(self, *, rng: np.random.Generator) -> str:
        """Return a noun phrase such as "red cup"; an object whose colour goes without saying may
        lose it.
        """
        noun = str(rng.choice(catalogue()["nouns"][self.shape]))
        unnamed = catalogue()["unnamed_colour"].get(self.shape) == self.colour
        return noun if unnamed and rng.random() < 0.5 else f"{self.colour} {noun}"

    @property
    def preposition(self) -> str:
        return "in" if self.shape in ("bowl", "pot") else "on"
