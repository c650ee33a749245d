"""Scene conditions by name, the ranges that initial states are drawn from: conditions.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from robot.errors import InputError, one_of


@dataclass(frozen=True)
class Condition:
    """One row of conditions.yaml; counts are inclusive ranges."""

    known: tuple[int, int] = (1, 2)
    duplicates: tuple[int, int] = (0, 0)  # exact copies of the target; one of the destination
    lookalikes: tuple[int, int] = (0, 0)
    unseen_shapes: tuple[int, int] = (0, 0)
    unseen_colours: tuple[int, int] = (0, 0)
    training_clutter: tuple[int, int] = (0, 0)
    random_colours: bool = False
    clutter_in_named_colours: bool = False  # training clutter, whichever colour the goal names
    reshaped_clutter: bool = False  # training clutter of other proportions, some of it patterned
    absent: bool = False
    textures: str = "standard"
    brightness: tuple[float, float] = (1.0, 1.0)
    tint: float = 0.0
    light_shift_m: float = 0.0
    camera_shift_m: float = 0.0
    camera_turn_deg: float = 0.0
    start_noise_rad: float = 0.0
    noise_sigma: float = 0.0
    blur_sigma: float = 0.0
    exposure: tuple[float, float] = (1.0, 1.0)
    held_out_wording: bool = False
    patch_m: float = 0.0  # side of the square amid the table that holds the target; 0: anywhere
    nonsense: bool = False  # unrelated words instead of the goal


# Fields of a condition that are ranges; a single number in conditions.yaml stands for both ends.
RANGES = (
    "known",
    "duplicates",
    "lookalikes",
    "unseen_shapes",
    "unseen_colours",
    "training_clutter",
    "brightness",
    "exposure",
)


@cache
def conditions() -> dict[str, Condition]:
    """Return every scene condition by name."""
    rows = yaml.safe_load(
        resources.files("robot.envs.tabletop").joinpath("conditions.yaml").read_text()
    )
    return {
        name: Condition(**{key: _as_range(key, value) for key, value in row.items()})
        for name, row in rows.items()
    }


def _as_range(key: str, value: Any) -> Any:
    """Return a row's value as Condition has it."""
    if key not in RANGES:
        return value
    return tuple(value) if isinstance(value, list) else (value, value)


def condition(name: str) -> Condition:
    """Return a condition, or say which there are."""
    if name not in conditions():
        raise InputError(f"got scene {name!r}, {one_of(name, conditions())}")
    return conditions()[name]
