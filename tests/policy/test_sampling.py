"""Sampling computes once what every denoising step shares; nothing else about it changes."""

from __future__ import annotations

import pytest
import torch

from robot.policy import DiffusionPolicy, FlowPolicy
from robot.policy.denoiser import DENOISERS, conditions, make_denoiser
from robot.policy.schedule import PREDICTIONS
from tests.policy.toy import HORIZON, SMALL, batch_of, observation


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Move all weights, so that what starts as zero counts."""
    for i, parameter in enumerate(module.parameters()):
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=seeded(i)))
    return module.eval()


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_conditions_of_all_times_at_once_are_those_of_each_time(name, batch):
    denoiser = make_denoiser(name, action_dim=6, context_dim=8, horizon=8, dim=16, depth=2)
    shaken(denoiser)
    times, context = torch.tensor([0.9, 0.1]), torch.randn(batch, 8, generator=seeded(0))
    noisy = torch.randn(batch, 8, 6, generator=seeded(1))
    with torch.no_grad():
        for time, condition in zip(times, conditions(denoiser, times, context), strict=True):
            expected = denoiser(noisy, time.expand(batch), context)
            torch.testing.assert_close(denoiser.denoise(noisy, condition), expected)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("batch", [1, 3])
def test_ddim_is_that_of_song_et_al(prediction, batch):
    policy = shaken(DiffusionPolicy(**SMALL, prediction=prediction, sample_steps=10))
    seen = observation(batch, generator=seeded(2))
    with torch.no_grad():
        context, x = policy.encoder(seen), torch.randn(batch, HORIZON, 7, generator=seeded(3))
        for step in range(99, -1, -10):
            a = policy.alpha_bars[step]
            b = policy.alpha_bars[step - 10] if step >= 10 else torch.ones(())
            said = policy.denoiser(x, torch.full((batch,), step / 100), context)
            clean = {
                "sample": said,
                "epsilon": (x - (1 - a).sqrt() * said) / a.sqrt(),
                "v_prediction": a.sqrt() * x - (1 - a).sqrt() * said,
            }[prediction].clamp(-1, 1)
            noise = (x - a.sqrt() * clean) / (1 - a).sqrt()
            x = b.sqrt() * clean + (1 - b).sqrt() * noise
    torch.testing.assert_close(policy.sample(seen, seeded(3)), x, atol=1e-4, rtol=1e-4)


def test_flow_takes_euler_steps():
    policy = shaken(FlowPolicy(**SMALL, sample_steps=4))
    seen = observation(2, generator=seeded(2))
    with torch.no_grad():
        context, x = policy.encoder(seen), torch.randn(2, HORIZON, 7, generator=seeded(3))
        for i in range(4):
            x = x + policy.denoiser(x, torch.full((2,), i / 4), context) / 4
    torch.testing.assert_close(policy.sample(seen, seeded(3)), x.clamp(-1, 1))


@pytest.mark.parametrize("policy_class", [DiffusionPolicy, FlowPolicy])
def test_training_with_a_batch_of_one_reaches_every_weight(policy_class):
    policy = shaken(policy_class(**SMALL)).train()
    policy.loss(batch_of(torch.zeros(1, HORIZON, 7)), seeded(0)).sum().backward()
    assert [name for name, p in policy.named_parameters() if p.grad is None] == []
