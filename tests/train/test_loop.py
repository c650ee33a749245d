import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from robot.train.loop import Training, cosine_rate, decay_groups, train, weighted_mean
from robot.types import InputError
from tests.train.tiny import Tiny, TinyBatch, batch_of_step, batches

QUICK = Training(steps=3, warmup_steps=1, precision="fp32", device="cpu")


def test_rate_warms_up_linearly_to_its_peak():
    rates = [cosine_rate(step, steps=100, peak=1.0, warmup_steps=4) for step in range(5)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_rate_is_half_its_peak_halfway_down():
    assert cosine_rate(60, steps=100, peak=2.0, warmup_steps=20) == pytest.approx(1.0)


def test_rate_ends_near_zero():
    assert cosine_rate(99, steps=100, peak=1.0, warmup_steps=0) < 1e-3


def test_weights_are_scaled_to_mean_one():
    loss = torch.tensor([1.0, 2.0, 3.0])
    assert weighted_mean(loss, torch.tensor([10.0, 10.0, 10.0])).item() == pytest.approx(2.0)
    assert weighted_mean(loss, torch.tensor([0.0, 0.0, 5.0])).item() == pytest.approx(3.0)


def test_weights_that_are_all_zero_give_zero_and_not_nan():
    assert weighted_mean(torch.ones(2), torch.zeros(2)).item() == 0.0


def test_samples_with_weight_zero_do_not_train_the_module():
    def pairs(changed: float):
        batch = batch_of_step(0)
        target = torch.cat([batch.target[:4], torch.full((4,), changed)])
        weights = torch.tensor([1.0] * 4 + [0.0] * 4)
        return itertools.repeat((TinyBatch(images=batch.images, target=target), weights))

    def run(changed: float) -> nn.Module:
        torch.manual_seed(0)
        return train(Tiny(), pairs(changed), QUICK, generator=torch.Generator().manual_seed(1))

    assert torch.equal(run(0.0).head.weight, run(100.0).head.weight)


def test_train_returns_an_average_in_eval_mode_that_is_not_the_module():
    module = Tiny()
    average = train(module, batches, QUICK)
    assert not average.training
    assert not torch.equal(average.head.weight, module.head.weight)


def test_training_lowers_the_loss(learning):
    torch.manual_seed(learning.seed)
    module, losses = Tiny(), []

    def log(step, values):
        return losses.append(values["loss"])

    training = replace(
        QUICK, steps=150, learning_rate=1e-2, precision=learning.precision, log_every=1
    )
    train(module, batches, training, log=log)
    learning.below(0.5, share_of_the_loss_left=sum(losses[-20:]) / sum(losses[:20]))


def test_the_last_step_is_logged_with_loss_gradient_rate_and_time():
    rows = []
    train(
        Tiny(),
        batches,
        replace(QUICK, log_every=2),
        log=lambda step, values: rows.append((step, dict(values))),
    )
    assert [step for step, _ in rows] == [2, 3]
    assert set(rows[-1][1]) == {"loss", "grad_norm", "learning_rate", "step_ms"}


def test_a_loss_that_is_not_finite_ends_the_run_with_a_reason():
    corrupted = TinyBatch(images=torch.full((8, 3, 4, 4), math.nan), target=torch.zeros(8))
    with pytest.raises(InputError, match="step 0.*NaN"):
        train(Tiny(), itertools.repeat(corrupted), QUICK)


def test_a_stream_that_ends_early_is_refused():
    with pytest.raises(InputError, match="no batch for step 2"):
        train(Tiny(), [batch_of_step(0), batch_of_step(1)], QUICK)


def test_bf16_trains_and_keeps_float32_weights():
    average = train(Tiny(), batches, replace(QUICK, precision="bf16"))
    assert average.head.weight.dtype == torch.float32
    assert average.head.weight.isfinite().all()


def test_weight_decay_spares_vectors():
    matrices, vectors = decay_groups(nn.Linear(2, 3), 0.1)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    assert (matrices["params"][0].shape, vectors["params"][0].shape) == ((3, 2), (3,))
