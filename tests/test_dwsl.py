"""Losses of the discriminator and weights of demonstrations, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from robot import dwsl
from robot.dwsl import (
    Evidence,
    binary_loss,
    discriminator_loss,
    rule_weights,
    unlabelled_loss,
    weighted,
)
from robot.train.loop import weighted_mean
from robot.types import InputError
from robot.weightings import RULES, check_weighting

LN3 = math.log(3)  # sigmoid(ln 3) = 3/4
TERMS = {"eta": 0.5, "trusted_weight": 1.0, "machine_weight": 1.0}


def close(expected: list[float]):
    return pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_binary_loss_is_the_negative_log_likelihood_of_the_tier():
    loss = binary_loss(torch.tensor([0.0, LN3, -LN3]), torch.tensor([1.0, 1.0, 0.0]))
    assert loss.tolist() == close([math.log(2), math.log(4 / 3), math.log(4 / 3)])


def test_the_positive_unlabelled_loss_takes_trusted_samples_out_of_the_unlabelled():
    loss = unlabelled_loss(torch.tensor([LN3, LN3, -LN3]), torch.tensor([1.0, 0.0, 0.0]), eta=0.5)
    assert loss.tolist() == close(
        [-math.log(3 / 4) + math.log(1 / 4), -2 * math.log(1 / 4), -2 * math.log(3 / 4)]
    )


def test_the_positive_unlabelled_loss_is_bounded_by_the_clipped_score():
    assert unlabelled_loss(torch.tensor([50.0]), torch.tensor([1.0])).tolist() == close(
        [-math.log(0.9) + math.log(0.1)]
    )


@pytest.mark.parametrize("rule", RULES)
def test_the_weight_of_a_term_multiplies_the_loss_and_gradient_of_its_own_tier_only(rule):
    trusted = torch.tensor([1.0, 0.0])

    def run(**change: float) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.tensor([0.4, -0.3], requires_grad=True)
        loss = discriminator_loss(logits, trusted, rule=rule, **TERMS | change)
        loss.sum().backward()
        assert logits.grad is not None
        return loss.detach(), logits.grad

    for before, after in zip(run(), run(machine_weight=3.0), strict=True):
        torch.testing.assert_close(after, before * torch.tensor([1.0, 3.0]))
    for before, after in zip(run(), run(trusted_weight=3.0), strict=True):
        torch.testing.assert_close(after, before * torch.tensor([3.0, 1.0]))


def test_eta_weighs_the_unlabelled_term():
    logits, trusted = torch.tensor([0.4, -0.3]), torch.tensor([1.0, 0.0])
    half, whole = (unlabelled_loss(logits, trusted, eta=eta) for eta in (0.5, 1.0))
    torch.testing.assert_close(half, whole * torch.tensor([1.0, 2.0]))


def test_binary_weights_are_clipped_scores_of_mean_one():
    assert rule_weights(
        torch.tensor([0.05, 0.5, 0.95]), torch.tensor([0, 1, 0]), rule="binary", eta=0.5
    ).tolist() == close([0.2, 1.0, 1.8])


def test_binary_weights_of_extreme_scores_are_bounded():
    assert dwsl.binary_weights(torch.tensor([0.02, 0.5, 0.98])).tolist() == close([0.2, 1.0, 1.8])


def test_unlabelled_samples_weigh_their_odds_or_nothing():
    assert dwsl.unlabelled_weights(torch.tensor([0.49, 0.5, 0.75, 0.99])).tolist() == close(
        [0.0, 1.0, 3.0, 9.0]
    )


def test_trusted_samples_have_a_rule_of_their_own():
    assert dwsl.trusted_weights(torch.tensor([0.5, 0.75])).tolist() == close(
        [7.5 - 2 - 1, 7.5 - 0.5 / 0.1875 - 1]
    )
    assert dwsl.trusted_weights(torch.tensor([0.5]), alpha=2.5).tolist() == close([0.0])


def test_the_unlabelled_rule_weighs_each_tier_by_its_own():
    weights = rule_weights(
        torch.tensor([0.5, 0.75, 0.2]), torch.tensor([1, 0, 0]), rule="unlabelled", eta=0.5
    )
    assert weights.tolist() == close([4.5 / 2.5, 3.0 / 2.5, 0.0])


def test_changing_one_weight_changes_that_samples_gradient_only():
    def gradient(weights: torch.Tensor) -> torch.Tensor:
        parameters = torch.ones(4, requires_grad=True)
        weighted(parameters * torch.tensor([1.0, 2.0, 3.0, 4.0]), weights).sum().backward()
        assert parameters.grad is not None
        return parameters.grad

    before, after = gradient(torch.ones(4)), gradient(torch.tensor([1.0, 1.0, 0.5, 1.0]))
    assert before.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert after.tolist() == [1.0, 2.0, 1.5, 4.0]


def test_the_training_loop_divides_by_the_sum_of_the_weights():
    assert float(weighted_mean(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))) == 7 / 4


def test_the_training_loop_weighs_each_sample_by_its_own_weight():
    losses = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    weighted_mean(losses, torch.tensor([0.0, 1.0, 3.0])).backward()
    assert losses.grad is not None and losses.grad.tolist() == [0.0, 0.25, 0.75]


def test_no_gradient_reaches_the_weights():
    weights = torch.ones(2, requires_grad=True)
    assert not weighted(torch.ones(2), weights).requires_grad


@pytest.mark.parametrize("rule", RULES)
def test_no_gradient_reaches_the_scores(rule):
    scores = torch.tensor([0.6, 0.7], requires_grad=True)
    assert not rule_weights(scores, torch.tensor([1, 0]), rule=rule, eta=0.5).requires_grad


COLUMN, VECTOR = torch.full((3, 1), 0.5), torch.full((3,), 0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: weighted(VECTOR, COLUMN),
        lambda: weighted(COLUMN, VECTOR),
        lambda: weighted(COLUMN, COLUMN),
        lambda: binary_loss(COLUMN, VECTOR),
        lambda: binary_loss(VECTOR, COLUMN),
        lambda: unlabelled_loss(COLUMN, COLUMN),
        lambda: dwsl.normalised(COLUMN),
        lambda: dwsl.clipped(COLUMN),
        lambda: rule_weights(VECTOR, COLUMN, rule="binary", eta=0.5),
        lambda: weighted(VECTOR, VECTOR[:2]),
        lambda: weighted_mean(VECTOR, COLUMN),
        lambda: weighted_mean(VECTOR, VECTOR[:1]),
        lambda: weighted_mean(VECTOR, VECTOR[:2]),
        lambda: dwsl.binary_weights(COLUMN),
        lambda: dwsl.binary_weights(VECTOR[0]),
        lambda: dwsl.normalised(VECTOR[:0]),
    ],
)
def test_what_is_no_vector_of_one_length_is_refused(call):
    with pytest.raises(InputError, match=r"expected vectors \[B\] of one length"):
        call()


def test_weights_that_are_all_zero_or_not_finite_are_refused():
    for weights in ([0.0, 0.0], [1.0, float("nan")], [2.0, -1.0]):
        with pytest.raises(InputError, match="expected finite ones >= 0, not all 0"):
            dwsl.normalised(torch.tensor(weights))


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="got rule 'ternary', expected one of binary, unlabelled"):
        dwsl.check_rule("ternary")
    with pytest.raises(InputError, match="got weighting 'best', expected one of uniform"):
        check_weighting("best")
    with pytest.raises(InputError, match="got eta 0"):
        unlabelled_loss(VECTOR, VECTOR, eta=0.0)


KNOWN = Evidence(
    trusted=torch.tensor([True, False, False, False]),
    clean=torch.tensor([True, True, False, True]),
    scores=torch.tensor([0.3, 0.5, 0.6, 0.4]),
    weights=torch.tensor([0.5, 1.0, 2.0, 0.5]),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uniform", [1.0, 1.0, 1.0, 1.0]),
        ("trusted_only", [1.0, 0.0, 0.0, 0.0]),
        ("fixed", [1.0, 0.2, 0.2, 0.2]),
        ("hard_filter", [1.0, 1.0, 1.0, 0.0]),  # a trusted sample stays, whatever its score
        ("oracle", [1.0, 1.0, 0.0, 1.0]),
        ("dwsl", [0.5, 1.0, 2.0, 0.5]),
    ],
)
def test_a_weighting_maps_what_is_known_to_weights(name, expected):
    assert dwsl.WEIGHTINGS[name](KNOWN).tolist() == close(expected)
    assert len(dwsl.WEIGHTINGS) == 6
