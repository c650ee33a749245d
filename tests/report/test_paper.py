"""The paper's numbers beside ours."""

from __future__ import annotations

import pytest

from robot.envs.tabletop.goals import PAPER_TASKS
from robot.report.paper import beside_paper, paper, text_of
from robot.report.statistics import Cell


def cell(task: str, scene: str, arm: str, successes: int, episodes: int = 50) -> Cell:
    return Cell(arm, task, scene, episodes, successes, (0,), (successes / episodes,))


def test_the_papers_averages_are_those_of_its_tasks():
    columns = zip(*paper()["tasks"].values(), strict=True)
    assert [sum(column) / 4 for column in columns] == pytest.approx(paper()["average"])


def test_its_tasks_are_ours():
    assert set(paper()["tasks"]) == set(PAPER_TASKS)


def test_our_cells_stand_beside_its_numbers():
    rows = beside_paper(
        [cell("duck_in_pot", "distract", "masked", 40), cell("pick", "distract", "masked", 1)]
    )
    row = next(r for r in rows if (r.task, r.scene, r.arm) == ("duck_in_pot", "distract", "masked"))
    assert text_of(row) == "50% / 80% (67–89)"
    assert sum(r.ours is not None for r in rows) == 2  # and the average


def test_our_average_pools_the_episodes_of_the_tasks():
    cells = [
        cell("duck_in_pot", "clean", "masked", 40),
        cell("duck_on_green_plate", "clean", "masked", 10),
    ]
    average = next(
        r for r in beside_paper(cells) if (r.task, r.scene, r.arm) == ("average", "clean", "masked")
    )
    assert (average.ours, average.episodes, average.paper) == (0.5, 100, 0.6)


def test_other_tasks_have_nothing_to_stand_beside():
    assert beside_paper([cell("pick", "clean", "masked", 40)]) == ()
