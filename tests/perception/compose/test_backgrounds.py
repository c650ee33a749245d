from __future__ import annotations

import pytest
import torch

from robot.perception.compose.augment import CompositeAugment
from robot.perception.compose.backgrounds import OnBackgrounds, PasteBackgrounds
from robot.types import InputError

WHITE = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)


def channel_composite(count: int = 1) -> torch.Tensor:
    """Return composites of 4 x 4: a picture of 0.25, the target in the upper left quarter, one
    half-covered pixel beside it.
    """
    images = torch.zeros(count, 1, 6, 4, 4)
    images[:, :, :3] = 0.25
    images[:, :, 3, :2, :2] = 1
    images[:, :, 3, 0, 2] = 0.5
    return images


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_objects_stay_and_the_rest_becomes_another_picture():
    rgb = PasteBackgrounds(WHITE, share=1.0)(channel_composite())[0, 0, 0]
    assert rgb[:2, :2].eq(0.25).all() and rgb[2:].eq(1).all() and rgb[0, 2] == 0.625


def test_the_policy_is_told_nothing_of_the_labels():
    assert PasteBackgrounds(WHITE, share=1.0)(channel_composite())[:, :, 3:].eq(1).all()
    assert PasteBackgrounds(WHITE, share=0.0)(channel_composite())[:, :, 3:].eq(1).all()


def test_only_a_share_of_the_images_is_changed():
    rgb = PasteBackgrounds(WHITE, share=0.7)(channel_composite(500), seeded())[:, 0, 0, 3, 3]
    assert set(rgb.tolist()) == {0.25, 1.0} and 0.6 < (rgb == 1).float().mean() < 0.8


def test_input_is_not_changed_in_place():
    images = channel_composite()
    PasteBackgrounds(WHITE, share=1.0)(images)
    assert torch.equal(images, channel_composite())


def test_light_changes_after_the_background_is_there():
    change = OnBackgrounds(
        PasteBackgrounds(WHITE, share=1.0), CompositeAugment(ring=0.0, fill=None)
    )
    rgb = change(channel_composite(), seeded())[0, 0, :3]
    assert (rgb[:, 3, 3] - 1).abs().max() > 1e-3 and (rgb[:, 0, 0] - 0.25).abs().max() > 1e-3


@pytest.mark.parametrize(("pictures", "share"), [(WHITE, 1.5), (WHITE[:0], 0.5)])
def test_impossible_backgrounds_are_refused(pictures, share):
    with pytest.raises(InputError, match="for backgrounds, expected a share"):
        PasteBackgrounds(pictures, share=share)
