"""A chunk that continues decided actions begins with them, and stays what the policy draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from robot.policy import DiffusionPolicy, FlowPolicy
from robot.policy.inpainting import Prefix, guidance, soft_weights
from tests.policy.test_sampling import seeded, shaken
from tests.policy.toy import HORIZON, SMALL, batch_of, observation, two_ways

POLICIES = [DiffusionPolicy, FlowPolicy]
both_ways = pytest.mark.parametrize("guided", [False, True])


def test_weights_are_one_where_decided_and_fall_to_zero():
    weights = soft_weights(decided=2, known=5)
    share = np.array([3, 2, 1]) / 4
    assert weights[:2].tolist() == [1, 1]
    np.testing.assert_allclose(weights[2:], share * (np.exp(share) - 1) / (np.e - 1), rtol=1e-6)
    assert (np.diff(weights[1:]) < 0).all()


def test_guidance_is_that_of_the_paper():
    # tau = 0.5: (1 - tau) min(beta, (1 - tau) / (tau r^2)) with r^2 = 0.5, beta = 5
    assert guidance(signal=0.5, noise=0.5) == pytest.approx(0.5 * min(5, 0.5 / (0.5 * 0.5)))
    assert guidance(signal=0.0, noise=1.0) == pytest.approx(5.0)


@both_ways
@pytest.mark.parametrize("policy_class", POLICIES)
def test_without_a_prefix_nothing_changes(policy_class, guided):
    policy, seen = shaken(policy_class(**SMALL)), observation(1, generator=seeded(1))
    empty = Prefix(
        actions=np.zeros((0, 7), np.float32), weight=np.zeros(0, np.float32), guided=guided
    )
    torch.testing.assert_close(
        policy.sample(seen, seeded(2), prefix=empty), policy.sample(seen, seeded(2))
    )


@both_ways
@pytest.mark.parametrize("policy_class", POLICIES)
def test_a_chunk_begins_with_the_decided_actions_also_in_inference_mode(policy_class, guided):
    policy, seen = shaken(policy_class(**SMALL)), observation(1, generator=seeded(1))
    decided = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 7)).astype(np.float32)
    prefix = Prefix(actions=decided, weight=np.ones(3, np.float32), guided=guided)
    with torch.inference_mode():
        chunk = policy.sample(seen, seeded(2), prefix=prefix)[0].numpy()
    np.testing.assert_allclose(chunk[:3], decided, atol=1e-5)


@pytest.mark.parametrize("policy_class", POLICIES)
def test_what_follows_goes_the_way_of_the_decided_actions(policy_class):
    """The demonstrations go either way; a chunk that has begun one way ends that way."""
    torch.manual_seed(0)
    policy = policy_class(**SMALL, noise_samples=1)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _, batch in zip(range(150), two_ways(0, size=32), strict=False):
        optimizer.zero_grad()
        policy.loss(batch, seeded(int(torch.randint(1 << 30, ())))).mean().backward()
        optimizer.step()
    ends = {}
    for way, guided in itertools.product((0.8, -0.8), (False, True)):
        decided = np.zeros((HORIZON // 2, 7), np.float32)
        decided[:, 0] = way
        prefix = Prefix(decided, weight=np.ones(len(decided), np.float32), guided=guided)
        chunks = policy.sample(observation(64, generator=seeded(5)), seeded(6), prefix=prefix)
        ends[way, guided] = float((chunks[:, -1, 0].sign() == np.sign(way)).float().mean())
    free = policy.sample(observation(64, generator=seeded(5)), seeded(6))[:, -1, 0]
    assert 0.1 < float((free > 0).float().mean()) < 0.9
    assert min(ends.values()) > 0.7, ends  # mixing by weight follows less than gradients do
    assert min(ends[way, True] for way in (0.8, -0.8)) > 0.9, ends


def test_gradients_of_the_weights_are_left_alone():
    policy, seen = shaken(DiffusionPolicy(**SMALL)), observation(1, generator=seeded(1))
    prefix = Prefix(
        actions=np.zeros((2, 7), np.float32), weight=np.ones(2, np.float32), guided=True
    )
    policy.sample(seen, seeded(2), prefix=prefix)
    assert all(p.grad is None for p in policy.parameters())
    policy.loss(batch_of(torch.zeros(1, HORIZON, 7))).mean().backward()  # still trains
