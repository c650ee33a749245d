import pytest
import torch

from robot.perception.head.presence import calibrate, status_of
from robot.types import InputError, MaskStatus


def noisy_presence(count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits four times too sure, and shifted by +2, of a truth drawn from the sigmoid of the right
    ones.
    """
    generator = torch.Generator().manual_seed(0)
    right = 2 * torch.randn(count, 2, generator=generator)
    return 4 * (right + 2), torch.bernoulli(right.sigmoid(), generator=generator)


def calibration_error(probability: torch.Tensor, truth: torch.Tensor, *, bins: int = 10) -> float:
    """Mean |confidence - frequency| over equal bins, weighted by their counts (Guo 2017)."""
    index = (probability * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins).index_add_(0, index, probability - truth)
    return (gap.abs().sum() / len(truth)).item()


def test_calibration_recovers_a_known_temperature_and_bias():
    temperature, bias = calibrate(*noisy_presence())
    torch.testing.assert_close(temperature, torch.full((2,), 4.0), rtol=0.15, atol=0)
    torch.testing.assert_close(bias, torch.full((2,), -2.0), rtol=0, atol=0.2)


def test_calibration_lowers_the_calibration_error():
    logits, truth = noisy_presence()
    temperature, bias = calibrate(logits, truth)
    before = calibration_error(logits.sigmoid()[:, 0], truth[:, 0])
    after = calibration_error((logits / temperature + bias).sigmoid()[:, 0], truth[:, 0])
    assert after < 0.03 < before


def test_perfectly_separated_logits_do_not_become_certain():
    temperature, bias = calibrate(
        torch.tensor([[3.0, 3.0], [-3.0, -3.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    )
    probability = (torch.tensor([3.0, 3.0]) / temperature + bias).sigmoid()
    torch.testing.assert_close(
        probability, torch.full((2,), 2 / 3), atol=0.02, rtol=0
    )  # Platt: (1 + 1) / (1 + 2)


def test_channel_whose_truth_never_varies_is_left_alone():
    temperature, bias = calibrate(
        torch.tensor([[3.0, 1.0], [-3.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    )
    assert (temperature[1], bias[1]) == (1, 0)


def test_calibration_without_samples_is_refused():
    with pytest.raises(InputError, match="held-out"):
        calibrate(torch.zeros(0, 2), torch.zeros(0, 2))


@pytest.mark.parametrize(
    "presence, status",
    [(0.7, MaskStatus.FOUND), (0.5, MaskStatus.UNCERTAIN), (0.3, MaskStatus.ABSENT)],
)
def test_status_follows_the_thresholds(presence, status):
    assert status_of(presence, found_above=0.7, absent_below=0.3) is status
