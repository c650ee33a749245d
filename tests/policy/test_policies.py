import itertools
import json
from dataclasses import replace

import pytest
import torch

from robot.policy import POLICIES, DiffusionPolicy, FlowPolicy, TransformerPolicy
from robot.policy.denoiser import DENOISERS, make_denoiser
from robot.policy.loss import chunk_loss
from robot.train.loop import Training, train
from robot.types import InputError
from tests.learning import Learning
from tests.policy.toy import HORIZON, SMALL, UNIT, batch_of, observation, two_ways

every_policy = pytest.mark.parametrize("policy_class", POLICIES.values(), ids=POLICIES)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_policy
def test_sample_has_the_shape_of_a_chunk(policy_class):
    assert policy_class(**SMALL).sample(observation(3), seeded(0)).shape == (3, HORIZON, 7)


@every_policy
def test_sample_stays_in_the_demonstrated_range_before_any_training(policy_class):
    narrow = {**UNIT, "action": {"min": [0.0] * 7, "max": [0.02] * 7}}
    policy = policy_class(**{**SMALL, "statistics": narrow})
    for parameter in policy.parameters():
        parameter.data.add_(torch.randn_like(parameter))  # an arbitrarily bad policy
    actions = policy.sample(observation(4), seeded(0))
    assert actions.min() >= -1e-6
    assert actions.max() <= 0.02 + 1e-6


@every_policy
def test_the_same_seed_gives_the_same_chunk(policy_class):
    policy, seen = policy_class(**SMALL), observation(2)
    assert torch.equal(policy.sample(seen, seeded(3)), policy.sample(seen, seeded(3)))


@every_policy
def test_loss_is_one_finite_number_per_sample(policy_class):
    loss = policy_class(**SMALL).loss(batch_of(torch.zeros(5, HORIZON, 7)), seeded(0))
    assert loss.shape == (5,)
    assert loss.isfinite().all()


@every_policy
def test_a_sample_without_valid_steps_costs_nothing(policy_class):
    batch = batch_of(torch.ones(2, HORIZON, 7))
    valid = torch.stack(
        [torch.zeros(HORIZON, dtype=torch.bool), torch.ones(HORIZON, dtype=torch.bool)]
    )
    loss = policy_class(**SMALL).loss(replace(batch, valid=valid), seeded(0))
    assert loss[0] == 0
    assert loss[1] > 0


def test_actions_past_the_end_of_the_episode_do_not_change_the_loss():
    policy, batch = TransformerPolicy(**SMALL), batch_of(torch.zeros(2, HORIZON, 7))
    valid, changed = batch.valid.clone(), batch.actions.clone()
    valid[:, 5:], changed[:, 5:] = False, 0.9
    assert torch.equal(
        policy.loss(replace(batch, valid=valid)),
        policy.loss(replace(batch, valid=valid, actions=changed)),
    )


@every_policy
def test_every_parameter_gets_a_gradient_after_one_step(policy_class):
    policy = policy_class(**SMALL)
    training = Training(steps=1, warmup_steps=1, precision="fp32", device="cpu")
    train(policy, two_ways, training, generator=seeded(0))
    policy.zero_grad()
    policy.loss(next(two_ways(1)), seeded(0)).sum().backward()
    assert [name for name, p in policy.named_parameters() if p.grad is None] == []


@every_policy
def test_config_is_json_and_rebuilds_the_policy(policy_class):
    policy = policy_class(**SMALL)
    rebuilt = policy_class(**json.loads(json.dumps(policy.config())))
    rebuilt.load_state_dict(policy.state_dict())
    seen = observation(2)
    assert torch.equal(rebuilt.sample(seen, seeded(0)), policy.sample(seen, seeded(0)))


@every_policy
def test_a_policy_without_statistics_is_refused(policy_class):
    with pytest.raises(InputError, match="statistics"):
        policy_class()


@every_policy
def test_statistics_travel_with_the_weights(policy_class):
    assert {"actions.center", "encoder.proprio.center"} <= set(policy_class(**SMALL).state_dict())


def test_an_unknown_prediction_is_refused_with_the_choices():
    with pytest.raises(InputError, match="v_prediction"):
        DiffusionPolicy(**SMALL, prediction="score")


def test_more_sampling_steps_than_training_steps_are_refused():
    with pytest.raises(InputError, match="sample_steps"):
        DiffusionPolicy(**SMALL, train_steps=5, sample_steps=10)


def test_an_unknown_denoiser_is_refused_with_the_choices():
    with pytest.raises(InputError, match="transformer"):
        DiffusionPolicy(**SMALL, denoiser="mamba")


def test_a_horizon_that_the_unet_cannot_halve_is_refused():
    with pytest.raises(InputError, match="multiple of 4"):
        make_denoiser("unet", action_dim=7, context_dim=8, horizon=6, dim=8, depth=3)


@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers_keep_the_shape_of_the_actions(name):
    denoiser = make_denoiser(name, action_dim=7, context_dim=8, horizon=16, dim=16, depth=3)
    assert denoiser(torch.randn(2, 16, 7), torch.rand(2), torch.randn(2, 8)).shape == (2, 16, 7)


@pytest.mark.parametrize(
    ("policy_class", "depth"), [(DiffusionPolicy, 4), (FlowPolicy, 4), (TransformerPolicy, 4)]
)
def test_default_policies_have_one_to_two_million_weights(policy_class, depth):
    weights = sum(p.numel() for p in policy_class(statistics=UNIT, depth=depth).parameters())
    assert 1e6 < weights < 2.5e6


def test_chunk_loss_averages_over_valid_steps_only():
    error = torch.tensor([[[1.0, 3.0], [4.0, 4.0], [100.0, 100.0]]])
    assert chunk_loss(error, torch.tensor([[True, True, False]])).tolist() == [3.0]


def test_chunk_loss_of_a_sample_without_valid_steps_is_zero():
    assert chunk_loss(torch.ones(1, 2, 7), torch.zeros(1, 2, dtype=torch.bool)).tolist() == [0.0]


def trained(policy, batches, *, steps: int, learning: Learning):
    """Train a policy of one block for a second or two."""
    training = Training(
        steps=steps,
        learning_rate=5e-3,
        warmup_steps=10,
        ema_decay=0.9,
        precision=learning.precision,
        device="cpu",
    )
    return train(policy, batches, training, generator=seeded(learning.seed))


@pytest.mark.parametrize("policy_class", [DiffusionPolicy, FlowPolicy])
def test_denoising_learns_both_ways_where_demonstrations_disagree(policy_class, learning):
    torch.manual_seed(learning.seed)
    policy = policy_class(**{**SMALL, "depth": 1})
    policy = trained(policy, two_ways, steps=120, learning=learning)
    sampled = policy.sample(observation(128, generator=seeded(9)), seeded(5))[..., 0].mean(1)
    near = ((sampled.abs() - 0.8).abs() < 0.25).float().mean().item()
    # the mean of the two ways is 0: none would be near
    learning.above(0.6, share_near_one_of_the_ways=near)
    right = (sampled > 0).float().mean().item()
    learning.above(0.25, share_of_the_rarer_way=min(right, 1 - right))


def test_regression_gives_one_answer_where_demonstrations_disagree():
    policy, seen = TransformerPolicy(**SMALL), observation(1)
    assert torch.equal(policy.sample(seen, seeded(1)), policy.sample(seen, seeded(2)))


def mostly_closed(start: int):
    """Yield batches in which the gripper closes (-1) in 70% of the demonstrations, whatever is
    seen.
    """
    for step in itertools.count(start):
        actions = torch.zeros(32, HORIZON, 7)
        actions[..., 6] = torch.where(torch.rand(32, 1, generator=seeded(step)) < 0.7, -1.0, 1.0)
        yield batch_of(actions, generator=seeded(step))


def test_regression_gives_the_gripper_the_value_of_the_majority_and_not_the_mean(learning):
    torch.manual_seed(learning.seed)
    policy = TransformerPolicy(**{**SMALL, "depth": 1})
    policy = trained(policy, mostly_closed, steps=80, learning=learning)
    widest = policy.sample(observation(16, generator=seeded(9)))[..., 6].max().item()
    learning.below(-0.9, widest_gripper=widest)
