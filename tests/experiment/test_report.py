"""What a run leaves behind: episodes, tables, figure, videos and page, from evaluated episodes."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from robot.experiment.cells import Evaluated
from robot.experiment.report import HELD_S, Findings, Story, report_to_wandb, write
from robot.report.html import MaskQuality
from robot.report.statistics import ALL_TASKS, EpisodeResult
from robot.report.table import success_table
from robot.rollout.act import Outcome, Snapshot

STORY = Story(
    title="pick: masked against unmasked",
    summary="Arms: 2.",
    seeds="training 0",
    arm="masked",
    config_yaml="a: 1",
    look_dt_s=0.4,
    headline_scene="clean",
)


def result(
    arm: str,
    index: int,
    *,
    success: bool | None,
    scene: str = "clean",
    task: str = "duck_in_pot",
    closed: bool = True,
) -> Evaluated:
    return Evaluated(
        EpisodeResult(
            arm=arm,
            task=task,
            scene=scene,
            training_seed=0,
            seed=1000,
            index=index,
            success=success,
            steps=9,
            closed_on_object=closed,
        )
    )


def filmed(evaluated: Evaluated) -> Evaluated:
    """Return an episode with two looks of one camera."""
    look = Snapshot(
        images={"agentview": np.zeros((16, 16, 3), np.uint8)},
        probability=(np.full((3, 16, 16), 0.5, np.float32),),
        composites=np.zeros((1, 3, 16, 16), np.float32),
    )
    outcome = Outcome(True, 9, False, True, None, (), "go", snapshots=(look, look))
    return Evaluated(evaluated.result, outcome)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, Findings]:
    run = tmp_path_factory.mktemp("run")
    results = [result("masked", k, success=k < 8) for k in range(10)]
    results += [result("unmasked", k, success=k < 2) for k in range(10)]
    results += [
        result(arm, k, success=False, scene="absent", closed=k < 4)
        for arm in ("masked", "unmasked")
        for k in range(10)
    ]
    results = [filmed(one) if one.result.index == 0 else one for one in results]
    masks = [MaskQuality(scene="clean", frames=8, mean_iou=0.87)]
    return run, write(run, results, story=STORY, masks=masks)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_are_a_spreadsheet_with_intervals(written):
    first = rows(written[0] / "cells.csv")[0]
    assert (first["arm"], first["scene"], first["success_rate"]) == ("masked", "clean", "0.8")
    # Wilson's interval of 8 of 10: .490 to .943
    assert float(first["wilson95_low"]) == pytest.approx(0.490, abs=1e-3)
    assert float(first["wilson95_high"]) == pytest.approx(0.943, abs=1e-3)


def test_differences_are_between_paired_episodes(written):
    clean = next(row for row in rows(written[0] / "differences.csv") if row["scene"] == "clean")
    assert (clean["arm"], clean["baseline"], clean["episodes"]) == ("masked", "unmasked", "10")
    assert float(clean["difference"]) == pytest.approx(0.6)
    assert float(clean["p_value"]) == 2 / 2**6  # McNemar: six pairs differ, all in one direction


def test_the_page_and_the_figure_are_there(written):
    run, found = written
    page = found.page.read_text()
    assert found.page == run / "report.html"
    assert "In “clean”, “masked” beats “unmasked”" in page and "Beside the paper" in page
    assert "<svg" in (run / "success.svg").read_text()


def test_where_nothing_can_succeed_the_page_says_how_often_the_hand_took_nothing(written):
    absent = next(row for row in rows(written[0] / "cells.csv") if row["scene"] == "absent")
    assert absent["took_nothing_rate"] == "0.6"
    assert "took nothing 60% (31–83)" in (written[0] / "report.html").read_text()


def test_every_episode_is_a_line(written):
    lines = (written[0] / "episodes.jsonl").read_text().splitlines()
    assert len(lines) == 40
    assert json.loads(lines[0])["arm"] == "masked"


def test_every_filmed_episode_has_its_video(written):
    assert {path.name for path in (written[0] / "videos").iterdir()} == {
        f"{arm}-duck_in_pot-{scene}-0-0.mp4"
        for arm in ("masked", "unmasked")
        for scene in ("clean", "absent")
    }


def test_the_quality_of_the_mask_head_is_on_the_page_and_among_the_results(written):
    assert "0.87" in (written[0] / "report.html").read_text()
    assert written[1].as_json()["masks"] == written[1].masks != ()


def test_cells_are_not_pooled_over_a_single_task(written):
    assert {cell.task for cell in written[1].shown} == {"duck_in_pot"}


def test_several_tasks_are_pooled_first(tmp_path):
    results = [
        result("masked", k, success=task == "pick", task=task)
        for task in ("pick", "place")
        for k in range(4)
    ]
    found = write(tmp_path, results, story=STORY)
    assert [(c.task, c.successes, c.episodes) for c in found.cells] == [
        (ALL_TASKS, 4, 8),
        ("pick", 4, 4),
        ("place", 0, 4),
    ]
    assert [cell.task for cell in found.shown] == [ALL_TASKS]


def test_one_arm_has_no_differences(tmp_path):
    found = write(tmp_path, [result("masked", k, success=True) for k in range(3)], story=STORY)
    assert found.differences == () and rows(tmp_path / "differences.csv") == []


def test_nothing_filmed_leaves_no_videos(tmp_path):
    write(tmp_path, [result("masked", 0, success=True)], story=STORY)
    assert not (tmp_path / "videos").exists()


def test_a_video_holds_how_its_episode_ended(written):
    path = next((written[0] / "videos").glob("masked-*-clean-*.mp4"))
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(video=0))
    assert count == 2 + round(HELD_S / STORY.look_dt_s)  # two looks, then the last one


@pytest.mark.parametrize(("looks", "between", "frames"), [(5, 3, 20), (20, 3, 30)])
def test_a_video_shows_the_whole_episode_at_ten_frames_a_second_in_a_bounded_file(
    tmp_path, monkeypatch, looks, between, frames
):
    monkeypatch.setattr("robot.experiment.report.MOST_FRAMES", 30)
    one = result("masked", 0, success=True)
    look = filmed(one).outcome.snapshots[0]
    look = replace(look, motion=(look.images,) * between)
    kept = replace(filmed(one).outcome, snapshots=(look,) * looks)
    write(tmp_path, [Evaluated(one.result, kept)], story=STORY)
    (path,) = (tmp_path / "videos").glob("*.mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10
        count = sum(1 for _ in container.decode(video=0))
    assert count == frames + round(10 * HELD_S)


def test_failures_are_shown_with_their_goal_and_how_they_ended(tmp_path):
    failed = result("masked", 0, success=False)
    look = filmed(failed).outcome.snapshots[0]
    outcome = Outcome(False, 9, False, False, None, (), "go", failure=(look, look))
    results = [Evaluated(replace(failed.result, goal="lift the duck"), outcome)]
    write(tmp_path, results, story=STORY)
    page = (tmp_path / "report.html").read_text()
    assert "What went wrong" in page and "lift the duck (episode 0, 9 steps" in page


def test_the_goal_of_every_episode_is_in_its_line(tmp_path):
    one = result("masked", 0, success=True)
    write(tmp_path, [Evaluated(replace(one.result, goal="lift the duck"))], story=STORY)
    assert json.loads((tmp_path / "episodes.jsonl").read_text())["goal"] == "lift the duck"


def test_wandb_gets_config_rates_masks_and_a_video(written):
    run, found = written
    config = {"arms": ["masked"], "root": Path("data")}
    report_to_wandb(found, run=run, name="pick", mode="offline", config=config)
    folder = next(run.glob("wandb/offline-run-*"))
    media = {path.suffix for path in folder.rglob("media/**/*") if path.is_file()}
    assert {".png", ".mp4"} <= media
    log = next(folder.glob("*.wandb"))
    for text in (b"success/masked/duck_in_pot/clean", b"mask_iou/clean", b'"data"'):
        _wait_until(lambda text=text: text in log.read_bytes())


def _wait_until(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Weights & Biases' own process writes after `finish` returns, too."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_goal_that_names_nothing_there_has_no_verdict(tmp_path):
    untold = [result("masked", k, success=None) for k in range(3)]
    found = write(tmp_path, untold, story=STORY)
    console = Console(width=120, record=True, file=StringIO())
    console.print(success_table(found.cells))
    assert "no verdict (3 episodes)" in console.export_text()
    page = found.page.read_text()
    assert "no verdict (3 episodes)" in page and "0%" not in _text_of_success_table(page)
    some = write(tmp_path, [*untold, result("masked", 3, success=True)], story=STORY)
    console.print(success_table(some.cells))
    assert re.search(r"100% .*no verdict \(3 episodes\)", console.export_text())


def _text_of_success_table(page: str) -> str:
    return page.partition('<table class="success">')[2].partition("</table>")[0]
