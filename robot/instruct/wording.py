"""Questions and names as the YAML files of words/ state them: data, read and expanded once."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

import yaml

from robot.words.lexicon import read_yaml

MOST = 64  # templates of one generator; more are thinned out evenly
_CHOICE = re.compile(r"\(([^()]*)\)")


def _read(name: str) -> Any:
    text = resources.files("robot.instruct").joinpath("words", name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def vocabulary() -> dict[str, Any]:
    """Return vocabulary.yaml."""
    return _read("vocabulary.yaml")


@cache
def relation_words() -> dict[str, Any]:
    """Return how goals tell a thing from others, robot/words/related.yaml."""
    return read_yaml("related.yaml")


@cache
def patterns() -> dict[str, list[str]]:
    """Return the patterns of all generators by name."""
    return {**_read("single.yaml"), **_read("multi.yaml")}


@cache
def templates(generator: str) -> tuple[str, ...]:
    """Return the distinct templates of a generator, in a fixed order."""
    every = [text for pattern in patterns()[generator] for text in _expanded(pattern)]
    distinct = list(dict.fromkeys(every))
    kept = min(MOST, len(distinct))
    return tuple(distinct[k * len(distinct) // kept] for k in range(kept))


def _expanded(pattern: str) -> list[str]:
    """Return all sentences of a pattern with (a|b) choices; spaces that choices leave go."""
    parts = _CHOICE.split(pattern)  # literal, choices, literal, ...
    ways = [part.split("|") if k % 2 else [part] for k, part in enumerate(parts)]
    joined = ("".join(way) for way in product(*ways))
    return [re.sub(r" +([?.,:]|$)", r"\1", re.sub(r" {2,}", " ", text)) for text in joined]
