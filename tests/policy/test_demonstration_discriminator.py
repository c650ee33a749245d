"""The discriminator looks at all it is given, and leaves the policy alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robot.batch import PolicyObservation, ScoredWindows, TierBatch
from robot.policy import TransformerPolicy
from robot.policy.demonstration_discriminator import (
    DemonstrationDiscriminator,
    PolicyAndDiscriminator,
)
from robot.types import InputError
from tests.policy.toy import HORIZON, SMALL, UNIT, batch_of, observation

SIZE = {"cameras": 1, "horizon": HORIZON, "dim": 16}
LOSSES = torch.tensor([0.3, 0.1, 0.2])


def discriminator(**change) -> DemonstrationDiscriminator:
    torch.manual_seed(0)
    return DemonstrationDiscriminator(statistics=UNIT, **SIZE | change).eval()


def policy() -> TransformerPolicy:
    torch.manual_seed(1)
    return TransformerPolicy(**SMALL | {"heads": 2, "depth": 1})


def windows(size: int = 3) -> ScoredWindows:
    generator = torch.Generator().manual_seed(0)
    policy = batch_of(
        torch.rand(size, HORIZON, 7, generator=generator) * 2 - 1, generator=generator
    )
    return ScoredWindows(policy=policy, after=observation(size, generator=generator))


def tiers(size: int = 4) -> TierBatch:
    return TierBatch(windows=windows(size), trusted=(torch.arange(size) % 2).float())


def acted(before: ScoredWindows, **change) -> ScoredWindows:
    return replace(before, policy=replace(before.policy, **change))


def seen_with(before: ScoredWindows, moment: str, **change) -> ScoredWindows:
    """Return the windows with another observation, at their first step ("now") or after their last
    one ("after").
    """
    if moment == "after":
        return replace(before, after=replace(before.after, **change))
    return acted(before, observation=replace(before.policy.observation, **change))


def seen_in(of: ScoredWindows, moment: str) -> PolicyObservation:
    return of.after if moment == "after" else of.policy.observation


def swapped(values: torch.Tensor) -> torch.Tensor:
    """Give samples 0 and 1 each other's values."""
    return values[[1, 0, 2]]


def changed(
    module: DemonstrationDiscriminator, other: ScoredWindows, losses: torch.Tensor = LOSSES
) -> list[bool]:
    with torch.no_grad():
        return (module(other, losses) != module(windows(), LOSSES)).tolist()


def test_it_answers_with_one_logit_per_sample():
    assert discriminator()(windows(), LOSSES).shape == (3,)


def test_it_sees_the_actions():
    before = windows()
    assert changed(discriminator(), acted(before, actions=swapped(before.policy.actions))) == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("moment", ["now", "after"])
@pytest.mark.parametrize("channel", [3, 4, 5])
def test_it_sees_the_mask_of_every_role(channel, moment):
    before = windows()
    images = seen_in(before, moment).images.clone()
    images[:, :, channel] = swapped(images[:, :, channel])
    assert changed(discriminator(), seen_with(before, moment, images=images)) == [True, True, False]


@pytest.mark.parametrize("moment", ["now", "after"])
def test_it_does_not_know_a_scene_by_its_pixels(moment):
    before = windows()
    images = seen_in(before, moment).images.clone()
    images[:, :, :3] = swapped(images[:, :, :3])
    assert changed(discriminator(), seen_with(before, moment, images=images)) == [False] * 3


@pytest.mark.parametrize("moment", ["now", "after"])
def test_it_sees_the_arm(moment):
    before = windows()
    arm = seen_with(before, moment, proprio=swapped(seen_in(before, moment).proprio))
    assert changed(discriminator(), arm) == [True, True, False]


def test_it_sees_the_policys_loss():
    assert changed(discriminator(), windows(), swapped(LOSSES)) == [True, True, False]


def test_it_sees_where_an_episode_ends_and_not_what_lies_beyond():
    before = windows()
    valid = before.policy.valid.clone()
    valid[0, -2:] = False
    ended = acted(before, valid=valid)
    assert changed(discriminator(), ended) == [True, False, False]
    beyond = ended.policy.actions.clone()
    beyond[0, -2:] = 0.7
    with torch.no_grad():
        torch.testing.assert_close(
            discriminator()(acted(ended, actions=beyond), LOSSES), discriminator()(ended, LOSSES)
        )


def test_what_it_was_fitted_to_has_mean_0_and_one_scale():
    one, many = discriminator(), windows(64)
    one.fit(many)
    known = (one._known(many) - one.center) / one.spread
    torch.testing.assert_close(known.mean(0), torch.zeros(known.shape[1]), atol=1e-5, rtol=0)
    spread = known.std(0)
    assert bool((spread <= 1).all()), "the floor keeps what hardly moves below 1"
    assert float(spread[-HORIZON * 8 :].reshape(HORIZON, 8)[:, :7].min()) > 0.85, (
        "actions moved far"
    )
    assert float(spread[-HORIZON * 8 :].reshape(HORIZON, 8)[:, 7].max()) == 0, (
        "all steps were valid"
    )


def test_it_blurs_what_it_is_told_only_while_it_learns():
    one = discriminator(dropout=0.0)
    assert torch.equal(one(windows(), LOSSES), one(windows(), LOSSES))
    one.train()
    assert not torch.equal(one(windows(), LOSSES), one(windows(), LOSSES))


def test_its_loss_puts_no_gradient_into_the_policy():
    both = PolicyAndDiscriminator(policy=policy(), discriminator=discriminator())
    surprise = both.policy.loss(tiers().windows.policy)
    assert surprise.requires_grad
    both.discriminator.loss(tiers(), surprise).sum().backward()
    assert all(parameter.grad is None for parameter in both.policy.parameters())
    assert all(parameter.grad is not None for parameter in both.discriminator.parameters())


def test_the_policy_learns_as_if_nobody_watched():
    alone, watched = (
        policy(),
        PolicyAndDiscriminator(policy=policy(), discriminator=discriminator()),
    )
    alone.loss(tiers().windows.policy).sum().backward()
    watched.loss(tiers()).sum().backward()
    for one, other in zip(alone.parameters(), watched.policy.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_policy_and_discriminator_share_no_parameter():
    both = PolicyAndDiscriminator(policy=policy(), discriminator=discriminator())

    def of(module):
        return {id(parameter) for parameter in module.parameters()}

    assert not of(both.policy) & of(both.discriminator)
    assert of(both) == of(both.policy) | of(both.discriminator)


@pytest.mark.parametrize("rule", ["binary", "unlabelled"])
def test_the_weights_of_its_terms_reach_its_loss(rule):
    losses = torch.full((4,), 0.2)
    plain = discriminator(rule=rule).loss(tiers(), losses)
    heavy = discriminator(rule=rule, machine_weight=2.0, trusted_weight=5.0).loss(tiers(), losses)
    torch.testing.assert_close(heavy, plain * torch.tensor([2.0, 5.0, 2.0, 5.0]))


def test_it_is_rebuilt_from_its_config():
    one = discriminator()
    one.fit(windows())
    other = DemonstrationDiscriminator(**one.config()).eval()
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(windows(), LOSSES), one(windows(), LOSSES))


def test_what_it_cannot_score_is_rejected():
    with pytest.raises(
        InputError, match=r"got policy_loss \[3, 1\], samples \[3\], expected vectors"
    ):
        discriminator()(windows(), LOSSES[:, None])
    with pytest.raises(InputError, match=f"got chunks of {HORIZON} actions, expected 4"):
        discriminator(horizon=4)(windows(), LOSSES)
    with pytest.raises(InputError, match="got rule 'ternary'"):
        discriminator(rule="ternary")
