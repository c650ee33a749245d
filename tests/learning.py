"""What tests that train have in common: a seed, a precision, and bounds with a margin on record.

`tools/learning_margins.py` runs them with other seeds, precisions, threads and instruction sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Learning:
    """How a test is to train; `record` keeps (name, value) in the test's report."""

    seed: int
    precision: str  # one of robot.system.device.PRECISIONS
    record: Callable[[str, object], None]

    def above(self, bound: float, **values: float) -> None:
        """Assert that every value is above the bound."""
        for name, value in values.items():
            self.record(name, f"{value:.4f} > {bound}")
            assert value > bound, f"got {name} {value:.3f}, expected more than {bound}"

    def below(self, bound: float, **values: float) -> None:
        """Assert that every value is below the bound."""
        for name, value in values.items():
            self.record(name, f"{value:.4f} < {bound}")
            assert value < bound, f"got {name} {value:.3f}, expected less than {bound}"


def add_options(parser: pytest.Parser) -> None:
    """Let the command line say with which seeds and precisions tests train, and on how many threads
    all of them run.
    """
    group = parser.getgroup("learning")
    group.addoption("--learning-seeds", default="0", help="of tests that train: 0,1,2")
    group.addoption("--learning-precisions", default="auto", help="of tests that train: fp32,bf16")
    group.addoption("--torch-threads", type=int, default=1)


def ways(config: pytest.Config) -> list[tuple[int, str]]:
    """Return the (seed, precision) pairs that the command line asks for."""
    seeds, precisions = (
        str(config.getoption(f"--learning-{name}")).split(",") for name in ("seeds", "precisions")
    )
    return [(int(seed), precision) for seed in seeds for precision in precisions]
