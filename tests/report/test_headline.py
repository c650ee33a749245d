"""The sentences say what the numbers say, whoever wins."""

import pytest

from robot.report.headline import (
    caveats,
    differences_from_cells,
    headline,
    percent,
    points,
    scoreboard,
)
from robot.report.statistics import ALL_TASKS, Cell, Difference


def cell(arm, successes, *, episodes=100, scene="distract", task="pick", seeds=(0,)):
    rates = (successes / episodes,) * len(seeds)
    return Cell(
        arm=arm,
        task=task,
        scene=scene,
        episodes=episodes,
        successes=successes,
        seeds=seeds,
        success_rate_by_seed=rates,
    )


def told(cells, *, scene="distract"):
    return headline(cells, differences_from_cells(cells, arm="masked"), arm="masked", scene=scene)


def difference(rate, low, high):
    return Difference(
        arm="a",
        baseline="b",
        task="t",
        scene="s",
        episodes=9,
        arm_rate=0.5,
        baseline_rate=0.5,
        difference=rate,
        interval95=(low, high),
    )


def test_a_win_is_claimed_over_the_strongest_other_arm_and_not_the_weakest():
    text = told([cell("masked", 94), cell("unmasked", 30), cell("randomised", 80)])
    assert text.startswith(
        "In “distract”, “masked” beats the strongest other arm: 94% against 80% for “randomised”, "
        "+14 points ("
    )


def test_a_loss_is_called_a_loss():
    assert "“masked” loses to “unmasked”: 40% against 90%, −50 points (" in told(
        [cell("masked", 40), cell("unmasked", 90)]
    )


def test_a_tie_is_called_a_tie():
    assert "“masked” cannot be told apart from “unmasked”: 95% against 96%" in told(
        [cell("masked", 95), cell("unmasked", 96)]
    )


def test_an_arm_alone_claims_no_comparison():
    assert (
        told([cell("masked", 94)])
        == "In “distract”, “masked” succeeds in 94% of 100 episodes (88–97). No other arm was run "
        "beside it."
    )


def test_of_several_tasks_the_headline_tells_what_they_come_to():
    cells = [
        cell("masked", 188, episodes=200, task=ALL_TASKS),
        cell("masked", 90, task="a"),
        cell("masked", 98, task="b"),
    ]
    assert "“masked” succeeds in 94% of 200 episodes (90–97). No" in told(cells)


def test_where_success_is_no_merit_nobody_wins():
    cells = [cell("masked", 3, scene="nonsense"), cell("unmasked", 20, scene="nonsense")]
    assert told(cells, scene="nonsense").endswith("There, more success is no better.")
    assert scoreboard(differences_from_cells(cells, arm="masked"), arm="masked") == ""


def test_a_scene_without_episodes_claims_nothing():
    assert (
        told([cell("masked", 94)], scene="clean")
        == "No episodes of “masked” in “clean”: there is nothing to claim yet."
    )


def test_the_scoreboard_names_wins_ties_and_losses():
    cells = [
        *(cell("masked", 90, scene="distract"), cell("unmasked", 20, scene="distract")),
        *(cell("masked", 95, scene="clean"), cell("unmasked", 96, scene="clean")),
        *(cell("masked", 30, scene="camera"), cell("unmasked", 80, scene="camera")),
    ]
    text = scoreboard(differences_from_cells(cells, arm="masked"), arm="masked")
    assert text.startswith("Against the strongest other arm in each of 3 conditions, “masked” is ")
    assert "better in 1 (distract); not distinguishable in 1 (clean); worse in 1 (camera)." in text
    alone = [cell("masked", 90), cell("unmasked", 20)]
    text = scoreboard(differences_from_cells(alone, arm="masked"), arm="masked")
    assert (
        text == "Against the strongest other arm in the one condition, “masked” is better in 1 "
        "(distract)."
    )


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.998, "99.8%"), (0.002, "0.2%"), (0.934, "93%")],
)
def test_rounding_never_hides_the_last_failure_or_the_last_success(rate, text):
    assert percent(rate) == text


def test_points_carry_their_sign_and_interval():
    assert points(difference(0.63, 0.521, 0.709)) == "+63 points (+52 to +71)"
    assert points(difference(-0.01, -0.05, 0.001)) == "−1 point (−5 to 0)"


def test_a_single_training_seed_is_confessed():
    assert any(
        "Trained once only: masked." in text
        for text in caveats([cell("masked", 9), cell("b", 9, seeds=(0, 1))], [], arm="masked")
    )


def test_few_episodes_are_confessed():
    # Wilson on 5 of 10 spans 53 points
    assert any(
        "smallest cell has 10 episodes; the widest interval spans 53" in t
        for t in caveats([cell("a", 5, episodes=10)], [], arm="a")
    )


def test_unpaired_comparisons_are_confessed():
    cells = [cell("masked", 90), cell("b", 20)]
    assert any(
        "unpaired" in text
        for text in caveats(cells, differences_from_cells(cells, arm="masked"), arm="masked")
    )


@pytest.mark.parametrize(("successes", "twin"), [(26, True), (89, True), (90, False)])
def test_an_arm_below_ninety_percent_where_it_was_trained_is_called_a_twin(successes, twin):
    cells = [cell("masked", 99, scene="clean"), cell("unmasked", successes, scene="clean")]
    text = " ".join(caveats(cells, [], arm="masked"))
    assert ("a twin of “masked”, not a rival" in text) is twin
