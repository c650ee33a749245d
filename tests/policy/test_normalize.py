import pytest
import torch

from robot.policy.normalize import MinMax, check_statistics, measure_statistics
from robot.types import InputError

ACTION = {"min": [0.0] * 6 + [0.0], "max": [4.0] * 6 + [1.0]}
STATISTICS = {"action": ACTION, "proprio": {"min": [-1.0] * 10, "max": [1.0] * 10}}


def test_normalize_maps_min_middle_and_max_to_minus_one_zero_and_one():
    actions = torch.tensor([[0.0] * 7, [2.0] * 6 + [0.5], [4.0] * 6 + [1.0]])
    normalized = MinMax(statistics=STATISTICS, key="action").normalize(actions)
    assert torch.equal(normalized, torch.tensor([[-1.0] * 7, [0.0] * 7, [1.0] * 7]))


def test_unnormalize_inverts_normalize():
    actions, map_ = torch.randn(2, 16, 7), MinMax(statistics=STATISTICS, key="action")
    torch.testing.assert_close(map_.unnormalize(map_.normalize(actions)), actions)


def test_normalize_inverts_unnormalize():
    normalized, map_ = torch.randn(2, 16, 7), MinMax(statistics=STATISTICS, key="action")
    torch.testing.assert_close(
        map_.normalize(map_.unnormalize(normalized)), normalized, atol=1e-6, rtol=1e-5
    )


def test_a_constant_dimension_is_mapped_to_zero_and_back():
    constant = {**STATISTICS, "action": {"min": [0.3] * 7, "max": [0.3] * 7}}
    map_ = MinMax(statistics=constant, key="action")
    assert torch.equal(map_.normalize(torch.full((1, 7), 0.3)), torch.zeros(1, 7))
    assert torch.equal(map_.unnormalize(torch.zeros(1, 7)), torch.full((1, 7), 0.3))


def test_statistics_are_buffers():
    assert set(MinMax(statistics=STATISTICS, key="action").state_dict()) == {"center", "half_range"}


def test_measured_statistics_are_the_extremes():
    actions = torch.stack([torch.full((7,), -0.5), torch.full((7,), 0.25)])
    measured = measure_statistics(actions=actions, proprio=torch.zeros(2, 10))
    assert measured["action"] == {"min": [-0.5] * 7, "max": [0.25] * 7}


@pytest.mark.parametrize(
    "statistics",
    [None, {}, {"action": ACTION}, {**STATISTICS, "proprio": {"min": [0.0] * 3, "max": [1.0] * 4}}],
    ids=["none", "empty", "no proprio", "more max than min"],
)
def test_statistics_that_cannot_be_used_are_refused(statistics):
    with pytest.raises(InputError, match="statistics"):
        check_statistics(statistics)


def test_statistics_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        check_statistics({**STATISTICS, "action": {"min": [float("nan")] * 7, "max": [1.0] * 7}})


def test_min_above_max_is_refused():
    with pytest.raises(InputError, match="min above max"):
        MinMax(statistics={"action": {"min": [2.0] * 7, "max": [1.0] * 7}}, key="action")
