"""What the region reader can say, read once from vocabulary.yaml: names, colours, materials, sizes,
states, parts and relations, in the order of the reader's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

UNKNOWN = -1  # index of an attribute that a region has no word for


@dataclass(frozen=True)
class Vocabulary:
    """Words by kind. `names` and `colours` map each plain name to what else it is called."""

    names: Mapping[str, tuple[str, ...]]
    colours: Mapping[str, tuple[str, ...]]
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    states: tuple[str, ...]
    parts: tuple[str, ...]
    relations: Mapping[str, str]
    granularities: tuple[str, ...]
    scene_names: tuple[str, ...]
    parts_of: Mapping[str, tuple[str | None, ...]]
    held_out: Mapping[str, tuple[str, ...]]

    def words(self, kind: str) -> tuple[str, ...]:
        """Return the plain words of a kind ("names", "colours", ...), in the order of outputs."""
        return tuple(getattr(self, kind))

    def is_held_out(self, name: str, colour: str | None) -> bool:
        """Return whether a combination is kept from training."""
        return colour in self.held_out.get(name, ())


ATTRIBUTES: tuple[str, ...] = (
    "names",
    "colours",
    "materials",
    "sizes",
    "states",
    "parts",
)  # of one region


@cache
def vocabulary() -> Vocabulary:
    """Return vocabulary.yaml."""
    text = resources.files("robot.perception.regions").joinpath("vocabulary.yaml").read_text()
    return Vocabulary(**{key: _frozen(value) for key, value in yaml.safe_load(text).items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return tuple(value)
