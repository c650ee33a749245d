"""Intervals and tests against values that are published or worked out by hand."""

import pytest

from robot.report.statistics import mcnemar_p, paired_interval95, wilson95
from robot.types import InputError


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_newcombes_published_table(successes, episodes, low, high):
    assert wilson95(successes, episodes) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_at_half_is_symmetric_and_equals_the_closed_form():
    # centre 1/2, half width z / (2 sqrt(n + z^2)) with z^2 = 3.8415 and n = 10: 1.96 / (2 * 3.7204)
    # = 0.2634
    assert wilson95(5, 10) == pytest.approx((0.5 - 0.2634, 0.5 + 0.2634), abs=5e-5)


def test_wilson_interval_at_certainty_ends_at_the_rate_and_keeps_a_width():
    # high end at zero successes is z^2 / (n + z^2) = 3.8415 / 13.8415
    assert wilson95(0, 10) == (0.0, pytest.approx(0.2775, abs=5e-5))
    assert wilson95(10, 10) == (pytest.approx(0.7225, abs=5e-5), 1.0)


def test_wilson_interval_without_episodes_is_everything():
    assert wilson95(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "episodes"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused_with_a_sentence(successes, episodes):
    with pytest.raises(
        InputError, match=f"got {successes} successes in {episodes} episodes, expected"
    ):
        wilson95(successes, episodes)


def test_paired_interval_equals_newcombes_published_example():
    # Newcombe 1998, Statistics in Medicine 17:2635-2650, method 10 on the table (36, 12, 2, 0)
    found = paired_interval95(both=36, only_first=12, only_second=2, neither=0)
    assert found == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_paired_interval_of_two_perfect_arms_keeps_a_width():
    # each rate is 1 with Wilson's low end at 100 / (100 + z^2) = 0.9630: 0 +- 0.0370
    found = paired_interval95(both=100, only_first=0, only_second=0, neither=0)
    assert found == pytest.approx((-0.0370, 0.0370), abs=5e-5)


def test_paired_interval_turns_around_when_the_arms_are_swapped():
    low, high = paired_interval95(both=30, only_first=14, only_second=3, neither=6)
    assert paired_interval95(both=30, only_first=3, only_second=14, neither=6) == pytest.approx(
        (-high, -low)
    )


def test_mcnemar_is_the_two_sided_sign_test_on_discordant_pairs():
    # 2 (C(6,0) + C(6,1)) / 2^6 = 14 / 64
    assert mcnemar_p(5, 1) == mcnemar_p(1, 5) == pytest.approx(14 / 64)


def test_mcnemar_without_discordant_pairs_is_one():
    assert mcnemar_p(0, 0) == 1.0
