"""A policy on whole frames that is told where to look while it is trained, and never by what it
sees.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from robot.policy import make_policy
from robot.policy.attention import watched
from robot.policy.grounding import ROLES, Grounded, grounding_loss, whole
from robot.policy.normalize import unit_statistics
from tests.policy.toy import HORIZON, batch_of

SIDE = 16
OPTIONS = {
    "cameras": 1,
    "image_size": SIDE,
    "width": 16,
    "layers": 2,
    "keypoints": 4,
    "dim": 16,
    "depth": 1,
    "horizon": HORIZON,
}
VISIONS = [{"vision": "cnn"}, {"vision": "cnn", "stride": 2}, {"vision": "tokens"}]


def grounded(**options) -> Grounded:
    torch.manual_seed(0)
    flat = {**OPTIONS, "in_channels": 3, **options}
    statistics = unit_statistics(action=7, proprio=10)
    return Grounded(make_policy("transformer", statistics=statistics, options=flat), weight=0.3)


def looks(*, size: int = 8, seed: int = 0):
    """Return a batch whose pictures show one red square, the target, and its true coverage."""
    generator = torch.Generator().manual_seed(seed)
    batch = batch_of(torch.zeros(size, HORIZON, 7), generator=generator)
    images = torch.zeros(size, 1, 6, SIDE, SIDE)
    for image in images:
        row, column = (4 * int(k) for k in torch.randint(4, (2,), generator=generator))
        image[0, [0, 3], row : row + 4, column : column + 4] = 1.0
    return replace(batch, observation=replace(batch.observation, images=images))


def test_the_loss_is_the_cross_entropy_with_the_target_s_pixels():
    scores = torch.zeros(1, 2, 4)
    scores[0, 0, 3] = math.log(7)  # keypoint 0: .7 on the last of four places, .1 on the others
    coverage = torch.zeros(1, 1, 2, 4, 4)
    coverage[0, 0, 0, 2:, 2:] = 1.0  # the last quarter
    torch.testing.assert_close(grounding_loss([scores], coverage), torch.tensor([-math.log(0.7)]))
    coverage[0, 0, 0, 2:, :2] = 1.0  # and the one before it
    expected = -(math.log(0.7) + math.log(0.1)) / 2
    torch.testing.assert_close(grounding_loss([scores], coverage), torch.tensor([expected]))


def test_a_role_that_no_camera_shows_costs_nothing():
    scores = [torch.randn(3, 4, 16) for _ in range(2)]
    assert not grounding_loss(scores, torch.zeros(3, 2, 2, 16, 16)).any()


def test_every_camera_and_both_roles_count():
    scores = [torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)]
    coverage = torch.zeros(1, 2, 2, 4, 4)
    coverage[0, 0, :, :2, :2] = 1.0  # target and destination in the first camera alone
    torch.testing.assert_close(grounding_loss(scores, coverage), torch.tensor([math.log(4.0)]))


@pytest.mark.parametrize("options", VISIONS)
@pytest.mark.parametrize("in_channels", [3, 5])
def test_the_policy_never_sees_its_labels(options, in_channels):
    learner, batch = grounded(in_channels=in_channels, **options), looks()
    seen = []
    learner.policy.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].images))
    learner.loss(batch)
    assert torch.equal(seen[0][:, :, :3], batch.observation.images[:, :, :3])
    assert (seen[0][:, :, 3:] == 1).all()


@pytest.mark.parametrize("options", VISIONS)
def test_keypoint_0_learns_to_look_at_the_target(options):
    learner, test = grounded(**options), looks(size=32, seed=10**6)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)

    def on_target() -> float:
        with torch.no_grad(), watched(learner.policy.encoder.vision) as scores:
            learner.policy.encoder(replace(test.observation, images=whole(test.observation.images)))
        return grounding_loss(scores, test.observation.images[:, :, ROLES]).mean().item()

    before = on_target()
    for seed in range(60):
        optimizer.zero_grad()
        learner.loss(looks(size=32, seed=seed)).mean().backward()
        optimizer.step()
    assert on_target() < 0.5 * before


def test_watching_ends_with_the_block():
    encoder = grounded(**VISIONS[0]).policy.encoder
    with watched(encoder.vision) as scores:
        encoder(looks().observation)
    assert [tuple(of.shape) for of in scores] == [(8, 4, 16)]
    encoder(looks().observation)
    assert len(scores) == 1
