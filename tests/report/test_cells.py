"""From episodes to cells and differences, and to JSON and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from robot.report.statistics import (
    ALL_TASKS,
    EpisodeResult,
    cell_to_json,
    compare,
    episode_from_json,
    independent_difference,
    paired_difference,
    read_jsonl,
    summarise,
    write_episodes,
)


def episodes(arm, outcomes, *, task="pick", scene="clean", training_seed=0, seed=100, **measured):
    """Return one episode per character of `outcomes`: "1" succeeded, "0" failed."""
    return [
        EpisodeResult(
            arm=arm,
            task=task,
            scene=scene,
            training_seed=training_seed,
            seed=seed,
            index=index,
            success=outcome == "1",
            steps=50,
            **measured,
        )
        for index, outcome in enumerate(outcomes)
    ]


def test_a_cell_pools_training_seeds_and_keeps_the_rate_of_each():
    (cell,) = summarise(
        [*episodes("masked", "1111", training_seed=7), *episodes("masked", "1100", training_seed=3)]
    )
    assert (cell.episodes, cell.successes, cell.success_rate) == (8, 6, 0.75)
    assert (cell.seeds, cell.success_rate_by_seed) == ((3, 7), (0.5, 1.0))


def test_cells_follow_the_order_of_first_appearance():
    results = [
        *episodes("b", "1"),
        *episodes("a", "1"),
        *episodes("b", "1", scene="distract"),
        *episodes("b", "0"),
    ]
    assert [(cell.arm, cell.scene) for cell in summarise(results)] == [
        ("b", "clean"),
        ("a", "clean"),
        ("b", "distract"),
    ]


def test_pooling_tasks_names_the_pool_only_where_there_are_several():
    both = [*episodes("a", "11"), *episodes("a", "00", task="place")]
    assert [(cell.task, cell.success_rate) for cell in summarise(both, pool_tasks=True)] == [
        (ALL_TASKS, 0.5)
    ]
    assert [cell.task for cell in summarise(episodes("a", "11"), pool_tasks=True)] == ["pick"]


def test_a_hand_that_took_nothing_is_counted_where_somebody_looked():
    looked = [(False, "000"), (True, "0")]
    results = [
        e for closed, o in looked for e in episodes("a", o, scene="absent", closed_on_object=closed)
    ]
    (cell,) = summarise(results)
    assert (cell.took_nothing, cell.took_nothing_rate) == (3, 0.75)
    (unseen,) = summarise(episodes("a", "000", scene="absent"))
    assert (unseen.took_nothing, unseen.took_nothing_rate) == (None, None)


def test_where_the_goals_object_may_be_taken_nobody_claims_that_none_was():
    (cell,) = summarise(episodes("a", "000", scene="clean", closed_on_object=False))
    assert cell.took_nothing is None


def test_latency_percentiles_are_over_all_steps_of_all_episodes():
    results = [
        *episodes("a", "1", control_ms=(1.0, 2.0)),
        *episodes("a", "1", control_ms=(3.0, 4.0, 5.0)),
    ]
    (cell,) = summarise(results)
    assert cell.p50_ms == 3.0
    assert cell.p99_ms == pytest.approx(4.96)  # rank 0.99 * 4 = 3.96 between 4 and 5


def test_what_was_not_measured_is_none_and_not_zero():
    (cell,) = summarise(episodes("a", "1"))
    assert (cell.mean_iou, cell.wrong_object_rate, cell.p50_ms, cell.p99_ms) == (
        None,
        None,
        None,
        None,
    )


def test_means_leave_out_episodes_that_were_not_measured():
    measured = episodes("a", "10", mask_iou=0.8, wrong_object=True)
    (cell,) = summarise(
        [*measured, *episodes("a", "1", mask_iou=0.5, wrong_object=False), *episodes("a", "1")]
    )
    assert cell.mean_iou == pytest.approx(0.7)
    assert cell.wrong_object_rate == pytest.approx(2 / 3)


def test_pairs_are_episodes_with_the_same_start_and_training_seed():
    ours, theirs = episodes("masked", "1110"), episodes("unmasked", "100")
    found = paired_difference(ours, theirs)  # the fourth of ours has no partner
    assert (found.episodes, found.arm_rate, found.baseline_rate) == (3, 1.0, pytest.approx(1 / 3))
    assert found.difference == pytest.approx(2 / 3)
    assert found.p_value == pytest.approx(0.5)  # two discordant pairs, both ours: 2 / 2^2


def test_arms_without_a_common_episode_are_compared_as_independent_samples():
    results = [
        *episodes("masked", "1" * 56 + "0" * 14, seed=1),
        *episodes("unmasked", "1" * 48 + "0" * 32, seed=2),
    ]
    (found,) = compare(results, arm="masked")
    assert found.p_value is None
    assert found.interval95 == pytest.approx(
        (0.0524, 0.3339), abs=5e-5
    )  # Newcombe 1998, 17:873-890, method 10: 56/70 - 48/80


def test_comparisons_of_several_tasks_are_pooled_first_and_then_task_by_task():
    results = [
        r
        for task in ("pick", "place")
        for arm in ("masked", "unmasked")
        for r in episodes(arm, "10", task=task)
    ]
    found = compare(results, arm="masked")
    assert [(d.task, d.baseline, d.episodes) for d in found] == [
        (ALL_TASKS, "unmasked", 4),
        ("pick", "unmasked", 2),
        ("place", "unmasked", 2),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [("1" * 50, "0" * 50, 1), ("0" * 50, "1" * 50, -1), ("10" * 25, "01" * 25, 0)],
)
def test_the_verdict_is_the_side_of_zero_that_the_interval_excludes(ours, theirs, verdict):
    (found,) = compare([*episodes("a", ours), *episodes("b", theirs)], arm="a")
    assert found.verdict == verdict


def test_a_scene_that_only_one_arm_ran_is_not_compared():
    results = [*episodes("a", "1"), *episodes("b", "1"), *episodes("b", "1", scene="distract")]
    assert [d.scene for d in compare(results, arm="a")] == ["clean"]


def test_results_have_the_plain_keys_that_scripts_read():
    record = cell_to_json(summarise(episodes("a", "11110"))[0])
    assert record["success_rate"] == 0.8
    assert record["wilson95"] == pytest.approx([0.3755, 0.9638], abs=5e-5)
    assert {
        "success_rate",
        "wilson95",
        "episodes",
        "seeds",
        "p50_ms",
        "p99_ms",
        "mean_iou",
    } <= record.keys()


def read(path: Path) -> tuple[EpisodeResult, ...]:
    return tuple(episode_from_json(record) for record in read_jsonl(path))


def test_episodes_survive_the_file_and_a_torn_line_is_left_out(tmp_path):
    results = tuple(episodes("a", "101", control_ms=(1.25, 2.5), mask_iou=0.9, wrong_object=False))
    path = tmp_path / "episodes.jsonl"
    write_episodes(path, results)
    assert read(path) == results
    path.write_text(path.read_text()[:-20])
    assert read(path) == results[:2]


def test_independent_difference_is_between_the_rates_of_the_two_cells():
    ours, theirs = summarise([*episodes("a", "1110"), *episodes("b", "10")])
    found = independent_difference(ours, theirs)
    assert (found.difference, found.episodes) == (0.25, 2)


def test_episodes_without_a_verdict_are_neither_successes_nor_failures():
    results = [*episodes("a", "110"), *(replace(e, success=None) for e in episodes("a", "00"))]
    (cell,) = summarise(results)
    assert (cell.episodes, cell.successes, cell.no_verdict) == (3, 2, 2)
    assert cell.success_rate == pytest.approx(2 / 3)
    assert cell.success_rate_by_seed == (cell.success_rate,)
    assert cell_to_json(cell)["no_verdict"] == 2


def test_a_cell_without_any_verdict_has_no_rate():
    (cell,) = summarise(replace(e, success=None) for e in episodes("a", "000"))
    assert (cell.success_rate, cell.success_rate_by_seed, cell.no_verdict) == (None, (None,), 3)
    said = cell_to_json(cell)
    assert (said["success_rate"], said["wilson95"], said["episodes"]) == (None, None, 0)


def test_arms_are_not_compared_on_episodes_without_a_verdict():
    ours = [*episodes("a", "11"), *(replace(e, success=None, index=9) for e in episodes("a", "0"))]
    theirs = [replace(e, index=k) for e, k in zip(episodes("b", "000"), (0, 1, 9), strict=True)]
    (difference,) = compare([*ours, *theirs], arm="a")
    assert (difference.episodes, difference.arm_rate) == (2, 1.0)
    untold = [replace(e, success=None) for e in episodes("a", "00")]
    assert compare([*untold, *theirs], arm="a") == ()


def test_an_episode_without_a_verdict_is_read_back(tmp_path):
    (one,) = (replace(e, success=None) for e in episodes("a", "0"))
    write_episodes(tmp_path / "episodes.jsonl", [one])
    assert [episode_from_json(r) for r in read_jsonl(tmp_path / "episodes.jsonl")] == [one]
