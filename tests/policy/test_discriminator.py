"""The discriminator looks at all it is given, and leaves the policy alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robot.batch import PolicyBatch, TierBatch
from robot.policy import TransformerPolicy
from robot.policy.discriminator import Discriminator, JudgedPolicy
from robot.types import InputError
from tests.policy.toy import HORIZON, SMALL, STATISTICS, batch_of

SIZE = {"cameras": 1, "image_size": 8, "horizon": HORIZON, "width": 8, "layers": 2, "keypoints": 4, "dim": 16}
LOSSES = torch.tensor([0.3, 0.1, 0.2])


def discriminator(**change) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(statistics=STATISTICS, **SIZE | change)


def policy() -> TransformerPolicy:
    torch.manual_seed(1)
    return TransformerPolicy(**SMALL | {"in_channels": 5, "heads": 2, "depth": 1})


def batch(size: int = 3) -> PolicyBatch:
    generator = torch.Generator().manual_seed(0)
    return batch_of(torch.rand(size, HORIZON, 7, generator=generator) * 2 - 1, generator=generator)


def tiers(size: int = 4) -> TierBatch:
    return TierBatch(policy=batch(size), trusted=(torch.arange(size) % 2).float())


def seen_with(before: PolicyBatch, **change) -> PolicyBatch:
    return replace(before, observation=replace(before.observation, **change))


def swapped(values: torch.Tensor) -> torch.Tensor:
    """Give samples 0 and 1 each other's values."""
    return values[[1, 0, 2]]


def changed(module: Discriminator, after: PolicyBatch, losses: torch.Tensor = LOSSES) -> list[bool]:
    with torch.no_grad():
        return (module(after, losses) != module(batch(), LOSSES)).tolist()


def test_it_answers_with_one_logit_per_sample():
    assert discriminator()(batch(), LOSSES).shape == (3,)


def test_it_sees_the_actions():
    before = batch()
    assert changed(discriminator(), replace(before, actions=swapped(before.actions))) == [True, True, False]


def test_it_sees_the_pixels():
    before = batch()
    images = before.observation.images.clone()
    images[:, :, :3] = swapped(images[:, :, :3])
    assert changed(discriminator(), seen_with(before, images=images)) == [True, True, False]


@pytest.mark.parametrize("channel", [3, 4, 5])
def test_it_sees_the_mask_of_every_role(channel):
    before = batch()
    images = before.observation.images.clone()
    images[:, :, channel] = swapped(images[:, :, channel])
    assert changed(discriminator(), seen_with(before, images=images)) == [True, True, False]


def test_it_sees_the_arm_and_the_policys_loss():
    before = batch()
    arm = seen_with(before, proprio=swapped(before.observation.proprio))
    assert changed(discriminator(), arm) == [True, True, False]
    assert changed(discriminator(), before, swapped(LOSSES)) == [True, True, False]


def test_it_sees_where_an_episode_ends_and_not_what_lies_beyond():
    before = batch()
    valid = before.valid.clone()
    valid[0, -2:] = False
    ended = replace(before, valid=valid)
    assert changed(discriminator(), ended) == [True, False, False]
    beyond = ended.actions.clone()
    beyond[0, -2:] = 0.7
    with torch.no_grad():
        torch.testing.assert_close(discriminator()(replace(ended, actions=beyond), LOSSES), discriminator()(ended, LOSSES))


def test_its_loss_puts_no_gradient_into_the_policy():
    judge = JudgedPolicy(policy=policy(), discriminator=discriminator())
    surprise = judge.policy.loss(tiers().policy)
    assert surprise.requires_grad
    judge.discriminator.loss(tiers(), surprise).sum().backward()
    assert all(parameter.grad is None for parameter in judge.policy.parameters())
    assert all(parameter.grad is not None for parameter in judge.discriminator.parameters())


def test_the_policy_learns_as_if_nobody_watched():
    alone, watched = policy(), JudgedPolicy(policy=policy(), discriminator=discriminator())
    alone.loss(tiers().policy).sum().backward()
    watched.loss(tiers()).sum().backward()
    for one, other in zip(alone.parameters(), watched.policy.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_policy_and_discriminator_share_no_parameter():
    judge = JudgedPolicy(policy=policy(), discriminator=discriminator())
    of = lambda module: {id(parameter) for parameter in module.parameters()}  # noqa: E731
    assert not of(judge.policy) & of(judge.discriminator)
    assert of(judge) == of(judge.policy) | of(judge.discriminator)


@pytest.mark.parametrize("rule", ["binary", "unlabelled"])
def test_the_weights_of_its_terms_reach_its_loss(rule):
    losses = torch.full((4,), 0.2)
    plain = discriminator(rule=rule).loss(tiers(), losses)
    heavy = discriminator(rule=rule, machine_weight=2.0, trusted_weight=5.0).loss(tiers(), losses)
    torch.testing.assert_close(heavy, plain * torch.tensor([2.0, 5.0, 2.0, 5.0]))


def test_it_is_rebuilt_from_its_config():
    one = discriminator()
    other = Discriminator(**one.config())
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(batch(), LOSSES), one(batch(), LOSSES))


def test_what_it_cannot_judge_is_refused():
    with pytest.raises(InputError, match=r"got policy_loss \[3, 1\], samples \[3\], expected vectors"):
        discriminator()(batch(), LOSSES[:, None])
    with pytest.raises(InputError, match=f"got chunks of {HORIZON} actions, expected 4"):
        discriminator(horizon=4)(batch(), LOSSES)
    with pytest.raises(InputError, match="got rule 'ternary'"):
        discriminator(rule="ternary")
