"""Nothing in a policy knows how many actions, state values or cameras there are."""

from __future__ import annotations

import pytest
import torch

from robot.batch import PolicyBatch
from robot.policy import POLICIES, make_policy
from robot.policy.chunking import ChunkExecutor
from robot.policy.normalize import unit_statistics
from robot.train.loop import Training, train
from tests.policy.toy import HORIZON, observation

ACTIONS, STATES, CAMERAS = 6, 9, 3
STATISTICS = unit_statistics(action=ACTIONS, proprio=STATES)


def batch(size: int, *, side: int) -> PolicyBatch:
    generator = torch.Generator().manual_seed(0)
    seen = observation(size, cameras=CAMERAS, image_size=side, proprio=STATES, generator=generator)
    actions = torch.rand(size, HORIZON, ACTIONS, generator=generator) * 2 - 1
    valid = torch.ones(size, HORIZON, dtype=torch.bool)
    return PolicyBatch(observation=seen, actions=actions, valid=valid)


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("vision", ["cnn", "tokens"])
def test_six_actions_nine_states_and_three_cameras_train_and_act(kind, vision):
    options = {"cameras": CAMERAS, "image_size": 16, "width": 8, "layers": 2, "keypoints": 4}
    options |= {"vision": vision, "dim": 16, "depth": 1, "horizon": HORIZON}
    policy, seen = make_policy(kind, statistics=STATISTICS, options=options), batch(4, side=16)
    train(policy, [seen], Training(steps=1, precision="fp32", device="cpu"))
    assert policy.loss(seen).shape == (4,)
    assert policy.sample(seen.observation).shape == (4, HORIZON, ACTIONS)


def test_the_unet_takes_the_number_of_actions_from_the_statistics():
    options = {"cameras": CAMERAS, "image_size": 16, "width": 8, "layers": 2, "dim": 16}
    policy = make_policy(
        "diffusion",
        statistics=STATISTICS,
        options=options | {"denoiser": "unet", "depth": 2, "horizon": HORIZON},
    )
    assert policy.sample(batch(2, side=16).observation).shape == (2, HORIZON, ACTIONS)


def test_an_executor_returns_actions_as_wide_as_its_chunks():
    executor = ChunkExecutor(execute=1, ensemble_decay=0.0)
    executor.add(torch.ones(4, ACTIONS).numpy())
    assert executor.next_action().shape == (ACTIONS,)
