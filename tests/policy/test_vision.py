import pytest
import torch

from robot.batch import LanguageTokens
from robot.policy.conditioning import LanguagePool
from robot.policy.config import EncoderConfig
from robot.policy.vision import SpatialSoftmax, VisionEncoder
from robot.types import InputError

OPTIONS = {
    "vision": "cnn",
    "cameras": 2,
    "image_size": 16,
    "width": 8,
    "layers": 3,
    "keypoints": 4,
    "dim": 12,
}


def test_spatial_softmax_of_one_bright_corner_is_that_corner():
    pool = SpatialSoftmax(channels=1, keypoints=1, size=3)
    torch.nn.init.ones_(pool.project.weight)
    features = torch.zeros(1, 1, 3, 3)
    features[0, 0, 0, 2] = 100.0  # first row, last column
    torch.testing.assert_close(pool(features), torch.tensor([[1.0, -1.0]]))


def test_spatial_softmax_of_a_flat_map_is_the_centre():
    torch.testing.assert_close(
        SpatialSoftmax(channels=1, keypoints=1, size=4)(torch.ones(1, 1, 4, 4)), torch.zeros(1, 2)
    )


def test_each_camera_gives_keypoints_and_width_features():
    features = VisionEncoder(EncoderConfig(in_channels=5, **OPTIONS))(
        torch.rand(3, 2, 6, 16, 16), torch.zeros(3, 12)
    )
    assert features.shape == (3, 2 * (2 * 4 + 8))


@pytest.mark.parametrize("in_channels", [3, 5])
def test_channels_beyond_in_channels_are_not_seen(in_channels):
    encoder, images, goal = (
        VisionEncoder(EncoderConfig(in_channels=in_channels, **OPTIONS)),
        torch.rand(1, 2, 6, 16, 16),
        torch.randn(1, 12),
    )
    changed = images.clone()
    changed[:, :, in_channels:] = 0
    assert torch.equal(encoder(images, goal), encoder(changed, goal))


def test_film_starts_as_the_identity():
    encoder, images = (
        VisionEncoder(EncoderConfig(in_channels=3, **OPTIONS)),
        torch.rand(1, 2, 6, 16, 16),
    )
    assert torch.equal(encoder(images, torch.zeros(1, 12)), encoder(images, torch.ones(1, 12)))


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match="image_size"):
        VisionEncoder(EncoderConfig(in_channels=3, **OPTIONS))(
            torch.rand(1, 2, 6, 32, 32), torch.zeros(1, 12)
        )


def test_an_image_size_that_patches_do_not_divide_is_refused():
    with pytest.raises(InputError, match="multiple of 4"):
        EncoderConfig(**{**OPTIONS, "image_size": 65})


def test_padding_does_not_change_the_goal_vector():
    pool, tokens = LanguagePool(dim=8), torch.randn(1, 5, 384)
    valid = torch.tensor([[True, True, True, False, False]])
    short = pool(LanguageTokens(tokens=tokens[:, :3], valid=valid[:, :3]))
    torch.testing.assert_close(pool(LanguageTokens(tokens=tokens, valid=valid)), short)


def test_a_goal_without_tokens_gives_finite_numbers():
    language = LanguageTokens(
        tokens=torch.zeros(1, 3, 384), valid=torch.zeros(1, 3, dtype=torch.bool)
    )
    assert LanguagePool(dim=8)(language).isfinite().all()


def test_stride_2_halves_the_maps_and_keeps_the_number_of_features():
    config = EncoderConfig(in_channels=3, stride=2, **OPTIONS)
    encoder = VisionEncoder(config)
    assert encoder.cameras[0].keypoints.grid.shape == (2 * 2, 2)
    features = encoder(torch.rand(1, 2, 6, 16, 16), torch.zeros(1, 12))
    assert features.shape == (1, config.cameras * config.features)
