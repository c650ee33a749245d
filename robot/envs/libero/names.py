"""Tasks and scenes of LIBERO by name, without its packages.

A suite is a task (`libero_object`: episode k is its task k % 10), and so is each of its tasks
(`libero_object-3`, in the suite's own order).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from robot.types import InputError

PATH = Path(__file__).with_name("suites.yaml")
TASKS_PER_SUITE = 10
HORIZONS = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520}
WITH_EXPERT = ("libero_object",)
NAMES = tuple(
    name
    for suite in HORIZONS
    for name in (suite, *(f"{suite}-{number}" for number in range(TASKS_PER_SUITE)))
)

CLEAN = "clean"  # drawn from the suite's own ranges, by seed: to learn from
REARRANGED = "rearranged"  # of our own making: the suite's objects anywhere on the floor
OFFICIAL = "official"  # the suite's own initial states
ENVIRONMENT = "environment"  # LIBERO-PRO's other room; its initial states are drawn
# LIBERO-PRO's perturbations and what its packages append to a suite's name for them
SUFFIXES = {
    CLEAN: "",
    REARRANGED: "",
    OFFICIAL: "",
    "position": "_swap",
    "task": "_task",
    "object": "_object",
    "semantic": "_lan",
    ENVIRONMENT: "",
}
SCENES = tuple(SUFFIXES)
DRAWN = (CLEAN, REARRANGED, ENVIRONMENT)
LEARNED = (CLEAN, REARRANGED)  # the others are for evaluation
ON_THE_FLOOR = ("libero_object",)


@dataclass(frozen=True)
class TaskName:
    """A suite, and one of its tasks by number; None: all of them in turn."""

    suite: str
    number: int | None

    @classmethod
    def of(cls, name: str) -> TaskName:
        """Parse the name of a task; it must be one of NAMES."""
        suite, _, number = name.partition("-")
        return cls(suite, int(number) if number else None)

    def episode(self, index: int) -> tuple[int, int]:
        """Return the number of the task that episode `index` is of, and of its initial state."""
        if self.number is not None:
            return self.number, index
        return index % TASKS_PER_SUITE, index // TASKS_PER_SUITE


def is_libero(task: str) -> bool:
    """Return whether a task is one of LIBERO's."""
    return task in NAMES


def check_libero_scene(task: str, scene: str) -> None:
    """Raise InputError unless a task of LIBERO can be shown in this scene."""
    if scene not in SCENES:
        raise InputError(
            f"got scene {scene!r}, expected one of {', '.join(SCENES)} for LIBERO's tasks; choose "
            "one of these"
        )
    if scene == REARRANGED and TaskName.of(task).suite not in ON_THE_FLOOR:
        raise InputError(
            f"got scene {scene!r} with task {task!r}, expected a task of {ON_THE_FLOOR[0]}, whose "
            "things stand on the floor; pass another scene"
        )


def check_learned(scene: str) -> None:
    """Raise InputError for a scene that nothing may be learned from."""
    if scene not in LEARNED:
        raise InputError(
            f"got scene {scene!r} to learn from, expected one of {', '.join(LEARNED)}: the others "
            "are for evaluation; choose one of these"
        )


@cache
def file_names() -> Mapping[str, tuple[str, ...]]:
    """Return the names of each suite's problem files, in the suite's order."""
    suites: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return {name: tuple(tasks) for name, tasks in suites.items()}
