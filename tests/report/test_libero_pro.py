"""Published figures of LIBERO-PRO beside ours."""

from __future__ import annotations

from rich.console import Console

from robot.envs.libero.names import HORIZONS, SCENES
from robot.report.libero_pro import libero_pro_table, pooled, published, suites_of
from robot.report.statistics import Cell


def cell(task: str, scene: str, successes: int, episodes: int = 10) -> Cell:
    return Cell("masked", task, scene, episodes, successes, (0,), (successes / episodes,))


def test_scenes_and_suites_of_the_published_figures_are_ours():
    assert set(published()["scenes"]) < set(SCENES) and set(published()["suites"]) < set(HORIZONS)
    for models in published()["suites"].values():
        assert {len(rates) for rates in models.values()} == {len(published()["scenes"])}


def test_tasks_of_a_suite_are_pooled_and_no_others():
    cells = [cell("libero_object-0", "task", 3), cell("libero_object-1", "task", 5)]
    cells += [cell("libero_spatial", "task", 1), cell("pick", "task", 1)]
    assert pooled(cells, suite="libero_object") == {("masked", "task"): (8, 20)}
    assert suites_of(cells) == ["libero_object", "libero_spatial"]
    assert suites_of([cell("pick", "clean", 1)]) == []


def test_the_table_shows_models_and_arms_scene_by_scene():
    console = Console(width=160, record=True)
    console.print(libero_pro_table([cell("libero_object", "position", 8)], suite="libero_object"))
    text = console.export_text()
    assert "17%" in next(line for line in text.splitlines() if "pi0.5" in line)
    assert "80% (49–94) [10]" in next(line for line in text.splitlines() if "masked" in line)
    assert "scripted expert" in text
