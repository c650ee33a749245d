import pytest
import torch
from torch import nn

from robot.train.ema import decay_at, make_average, update_average


def linear(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    return module


def test_update_moves_the_average_by_one_minus_decay():
    average = make_average(linear(1.0))
    update_average(average, linear(3.0), decay=0.75)
    assert average.weight.item() == pytest.approx(1.5)


def test_average_does_not_follow_the_module_by_itself():
    module = linear(1.0)
    average = make_average(module)
    nn.init.constant_(module.weight, 9.0)
    assert average.weight.item() == 1.0


def test_average_asks_for_no_gradients():
    assert not any(p.requires_grad for p in make_average(linear(1.0)).parameters())


def test_buffers_are_copied():
    module = nn.BatchNorm1d(1)
    average = make_average(module)
    module.running_mean.fill_(4.0)
    update_average(average, module, decay=0.9)
    assert average.running_mean.item() == 4.0


def test_decay_rises_from_a_tenth_to_its_final_value():
    assert decay_at(0, 0.99) == pytest.approx(0.1)
    assert decay_at(10**6, 0.99) == 0.99


def test_average_of_a_constant_stays_that_constant():
    average = make_average(linear(2.0))
    for step in range(5):
        update_average(average, linear(2.0), decay=decay_at(step, 0.9))
    torch.testing.assert_close(average.weight, torch.tensor([[2.0]]))
