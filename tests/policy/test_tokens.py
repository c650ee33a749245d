"""Token dropping: what the mask rejects has no influence and costs nothing; what it keeps is
encoded as ever.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from robot.policy import TransformerPolicy
from robot.policy.config import PATCH, EncoderConfig
from robot.policy.tokens import TokenEncoder, fold_patches, kept_patches, kept_places
from robot.policy.vision import VisionEncoder
from robot.types import InputError
from tests.policy.toy import SMALL, batch_of, observation

OPTIONS = {
    "image_size": 16,
    "width": 8,
    "layers": 2,
    "keypoints": 3,
    "dim": 8,
}  # 4 x 4 patches


@pytest.fixture
def encoder() -> TokenEncoder:
    torch.manual_seed(0)
    return TokenEncoder(EncoderConfig(in_channels=5, **OPTIONS)).eval()


def composites(*covered: list[int]) -> torch.Tensor:
    """Return a random composite per list of kept patches (row-major); its coverage is the
    target's.
    """
    images = torch.rand(len(covered), 6, 16, 16, generator=torch.Generator().manual_seed(1))
    images[:, 3:] = 0
    for image, patches in zip(images, covered, strict=True):
        for patch in patches:
            image[3][block(patch)] = 1
    return images


def block(patch: int) -> tuple[slice, slice]:
    y, x = PATCH * (patch // 4), PATCH * (patch % 4)
    return slice(y, y + PATCH), slice(x, x + PATCH)


def goals(count: int) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(2))


def test_dropped_patches_do_not_influence_the_output(encoder):
    images = composites([1, 6])
    changed = images.clone()
    for patch in set(range(16)) - {1, 6}:
        changed[:, :3][0][:, *block(patch)] = 9.0
    assert torch.equal(encoder(images, goals(1)), encoder(changed, goals(1)))


def test_kept_patches_do_influence_the_output(encoder):
    images = composites([1, 6])
    changed = images.clone()
    changed[0, 0][block(6)] += 1.0
    assert not torch.allclose(encoder(images, goals(1)), encoder(changed, goals(1)))


def test_no_gradient_reaches_dropped_patches(encoder):
    images = composites([1, 6]).requires_grad_()
    encoder(images, goals(1)).sum().backward()
    assert images.grad is not None
    moved = F.max_pool2d(images.grad[:, :3].abs().amax(dim=1, keepdim=True), PATCH).flatten()
    assert torch.nonzero(moved).flatten().tolist() == [1, 6]


def test_with_all_patches_kept_the_output_is_that_of_the_full_encoder(encoder):
    images = composites(list(range(16)))
    patches = F.pixel_unshuffle(2 * images[:, :5] - 1, PATCH).flatten(2).transpose(1, 2)
    full = encoder.encode(
        patches, torch.arange(16)[None], torch.ones(1, 16, dtype=torch.bool), goals(1)
    )
    torch.testing.assert_close(encoder(images, goals(1)), full)


def test_padding_in_a_batch_changes_nothing(encoder):
    images = composites([3], [0, 5, 9, 15], [])
    alone = torch.cat([encoder(images[i : i + 1], goals(3)[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(encoder(images, goals(3)), alone)


def test_the_sequence_is_as_long_as_the_mask_is_large(encoder):
    lengths = []
    encoder.blocks[0].register_forward_hook(
        lambda module, inputs, output: lengths.append(inputs[0].shape[1])
    )
    for covered in ([2], [2, 3, 4], list(range(16))):
        encoder(composites(covered), goals(1))
    assert lengths == [2, 4, 17]  # the goal's token is one of them


def test_places_come_in_order_and_padding_is_not_valid():
    places, valid = kept_places(
        torch.tensor([[False, True, False, True], [False, False, True, False]])
    )
    assert places[0].tolist() == [1, 3] and places[1, 0] == 2
    assert valid.tolist() == [[True, True], [True, False]]


def test_a_patch_is_kept_by_its_mean_coverage_over_all_roles():
    image = torch.zeros(1, 6, 4, 8)
    image[0, 3, 0, 0] = image[0, 5, 0, 1] = (
        1  # 2 of the first patch's 16 pixels, of target and gripper
    )
    assert kept_patches(image, threshold=0.1).tolist() == [[True, False]]
    assert kept_patches(image, threshold=0.125).tolist() == [[False, False]]


def test_a_patch_that_is_kept_alone_is_where_all_keypoints_are(encoder):
    points = encoder(composites([7]), goals(1))[0, :6].view(3, 2)  # row 1, column 3 of 4
    torch.testing.assert_close(points, torch.tensor([1.0, -1 / 3]).expand(3, 2))


def test_nothing_kept_gives_finite_numbers_and_no_keypoints(encoder):
    features = encoder(composites([]), goals(1))
    assert features.isfinite().all() and features[0, :6].eq(0).all()


@pytest.mark.parametrize("in_channels", [3, 5])
def test_dropping_needs_no_coverage_among_the_channels_that_are_seen(in_channels):
    vision = VisionEncoder(EncoderConfig(cameras=1, in_channels=in_channels, **OPTIONS))
    images = composites([1])[:, None]
    hidden = images.clone()
    hidden[:, :, :3, 8:] = 0
    assert torch.equal(vision(images, goals(1)), vision(hidden, goals(1)))


def test_a_policy_with_tokens_has_a_finite_loss_and_is_rebuilt_from_its_config():
    policy = TransformerPolicy(**SMALL)
    loss = policy.loss(batch_of(torch.zeros(4, SMALL["horizon"], 7)))
    loss.mean().backward()
    assert loss.isfinite().all()
    again = TransformerPolicy(**policy.config())
    again.load_state_dict(policy.state_dict())
    assert torch.equal(again.eval().sample(seen := observation(1)), policy.eval().sample(seen))


def test_another_vision_is_refused():
    with pytest.raises(InputError, match="got vision 'sonar', expected one of cnn, tokens"):
        EncoderConfig(vision="sonar")


@pytest.mark.parametrize("change", [{"image_size": 15}, {"width": 6}, {"stride": 2}])
def test_impossible_encoders_are_refused(change):
    with pytest.raises(InputError, match="expected a multiple of 4"):
        EncoderConfig(**{**OPTIONS, **change})


def test_a_threshold_that_drops_everything_is_refused():
    with pytest.raises(InputError, match=r"a coverage in \[0, 1\)"):
        TokenEncoder(EncoderConfig(**OPTIONS), threshold=1.0)


@pytest.mark.parametrize("side", [PATCH, 16])
def test_folding_orders_patches_as_pixel_unshuffle_and_leaves_the_image_alone(side):
    image = torch.rand(2, 5, side, side)
    before = image.clone()
    expected = F.pixel_unshuffle(2 * image - 1, PATCH).permute(0, 2, 3, 1)
    assert torch.equal(fold_patches(image), expected)
    assert torch.equal(image, before)


def test_acting_attends_as_training_does(encoder):
    images = composites([3], [0, 5, 9, 15], [])
    learning = encoder(images, goals(3))
    with torch.no_grad():
        acting = encoder(images, goals(3))
    torch.testing.assert_close(acting, learning)
