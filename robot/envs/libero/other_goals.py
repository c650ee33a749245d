"""Other goals that a scene of LIBERO can be asked for, in the suite's own sentences."""

from __future__ import annotations

from functools import cache

import numpy as np

from robot.envs.libero.files import problem_file
from robot.envs.libero.names import CLEAN, TASKS_PER_SUITE
from robot.envs.libero.problem import Problem, read_problem
from robot.envs.libero.task import roles_of
from robot.envs.libero.world import LiberoWorld
from robot.types import Label

# whose sentences name things by what they are; those of libero_spatial say where they stand
NAMING = ("libero_object",)


@cache
def suite_problems(suite: str) -> tuple[Problem, ...]:
    """Return the problems of a suite, unperturbed."""
    return tuple(
        read_problem(problem_file(suite, number, CLEAN).read_text(encoding="utf-8"))
        for number in range(TASKS_PER_SUITE)
    )


def other_goals(
    world: LiberoWorld, *, suite: str, count: int, absent_share: float, rng: np.random.Generator
) -> list[tuple[str, dict[str, Label]]]:
    """Return up to `count` other sentences of the suite with the roles of the bodies that they
    name; `absent_share` of them name a thing that is not there.
    """
    if suite not in NAMING:
        return []
    others = [p for p in suite_problems(suite) if p.goals != world.problem.goals]
    here = [p for p in others if p.goals[0][1] in world.problem.objects]
    away = [p for p in others if p.goals[0][1] not in world.problem.objects]
    found = []
    for _ in range(count):
        choices = away if away and (not here or rng.random() < absent_share) else here
        chosen = choices[int(rng.integers(len(choices)))]
        found.append((chosen.words, roles_of(world, chosen.goals)))
    return found
