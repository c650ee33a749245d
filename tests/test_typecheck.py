"""That tests check hints and shapes: a module under the import hook refuses what does not fit."""

import importlib
import sys

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from tests.typecheck import install_import_hook

MODULE = '''
"""Docstring."""
from __future__ import annotations
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
import numpy as np
from jaxtyping import Float
from typing import TYPE_CHECKING, Self
if TYPE_CHECKING:
    from nowhere import Unknown

Vectors = Float[np.ndarray, "n 3"]

def plain(count: int, *, name: str | None = None) -> str:
    return count if name == "wrong" else "right"

def real(value: float) -> float:
    return value

def unknown(first: Unknown, second: int) -> None: ...

def later(it: Later) -> None: ...

def shaped(a: Vectors, b: Float[np.ndarray, "n"], c: list[Vectors] | None = None) -> Vectors:
    return a[:1] if len(a) == 4 else a

def each(vectors: Vectors) -> Iterator[Float[np.ndarray, "3"]]:
    yield from vectors

@cache
def kept(value: int) -> int:
    return value

@contextmanager
def opened(value: int) -> Iterator[int]:
    yield value

def outer() -> Callable[..., int]:
    def inner(value: int) -> int:
        return value
    return inner

@dataclass(frozen=True)
class Options:
    steps: int
    weights: Vectors | None = None

    @property
    def wrong(self) -> str:
        return self.steps

    @classmethod
    def of(cls, steps: int) -> Self:
        return cls(steps)

    @staticmethod
    def twice(steps: int) -> int:
        return 2 * steps

class Later:
    def __init__(self, size: int) -> None:
        self.size = size
'''
REFUSED = (BeartypeCallHintViolation, TypeCheckError)
THREE, FOUR = np.zeros((3, 3), np.float32), np.zeros((4, 3), np.float32)
ONES = np.ones(3, np.float32)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "checked_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    install_import_hook("checked_module")
    yield importlib.import_module("checked_module")
    del sys.modules["checked_module"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: m.plain("1"),
        lambda m: m.plain(1, name=2),
        lambda m: m.plain(1, name="wrong"),  # what it returns
        lambda m: m.unknown(1, "2"),
        lambda m: m.later(1),
        lambda m: m.shaped(THREE, np.ones(2, np.float32)),  # another n
        lambda m: m.shaped(THREE.astype(int), ONES),
        lambda m: m.shaped(FOUR, np.ones(4, np.float32)),  # what it returns has another n
        lambda m: m.shaped(THREE, ONES, [FOUR]),
        lambda m: m.each(ONES),
        lambda m: m.kept("1"),
        lambda m: m.opened("1").__enter__(),
        lambda m: m.outer()("1"),
        lambda m: m.Options("1"),
        lambda m: m.Options(1, ONES),
        lambda m: m.Options(1).wrong,
        lambda m: m.Options.of("1"),
        lambda m: m.Options.twice("1"),
        lambda m: m.Later("1"),
    ],
)
def test_what_a_hint_or_a_shape_forbids_is_refused_at_the_call(module, wrong):
    with pytest.raises(REFUSED):
        wrong(module)


def test_what_fits_passes(module):
    assert module.plain(1, name="a") == "right" and module.real(1) == 1
    assert module.unknown("anything", 2) is None and module.later(module.Later(1)) is None
    assert module.shaped(THREE, ONES, [THREE]) is THREE
    assert [len(row) for row in module.each(THREE)] == [3, 3, 3]
    assert module.kept(1) == 1 and module.outer()(1) == 1
    with module.opened(1) as value:
        assert value == 1
    options = module.Options.of(1)
    assert options == module.Options(1, None) and options.twice(2) == 4


def test_it_leaves_the_bytecode_of_commands_alone(module, tmp_path):
    written = {path.name for path in (tmp_path / "__pycache__").iterdir()}
    assert len(written) == 1 and ".checked-" in written.pop()
