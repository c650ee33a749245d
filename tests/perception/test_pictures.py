"""Pictures of any size through a mask head, with words as people write them."""

import numpy as np
import pytest
import torch

from robot.perception.head.mask_head import MaskHead
from robot.perception.pictures import look_at
from robot.types import InputError, MaskStatus

GOAL = "pick up the red cup"


@pytest.fixture(scope="module")
def head() -> MaskHead:
    return MaskHead.load("tabletop")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(128, 128), (37, 50), (1, 300), (241, 133)])
def test_masks_lie_at_the_pictures_own_size(head, size):
    said = head.predict(picture(*size), GOAL)
    assert said.probability.shape == (3, *size)
    assert said.probability.min() >= 0 and said.probability.max() <= 1
    assert said.sentence == GOAL and said.presence.shape == (2,)


def test_a_picture_stands_for_every_camera_of_a_look(head):
    image = picture(128, 128)
    words = head.word_encoder().encode([GOAL])
    truth = head.predict(np.stack([image, image]), words)
    said = head.predict(image, GOAL)
    expected = truth.logits[0].sigmoid().numpy()
    assert np.allclose(said.probability, expected, atol=1e-5)
    assert said.predicted_iou == pytest.approx(float(truth.predicted_iou[0]), abs=1e-5)


def test_a_batch_says_what_each_picture_alone_does(head):
    pictures = [picture(128, 128), picture(128, 128)[::-1].copy()]
    together = look_at(head, pictures, GOAL)
    assert not np.allclose(together[0].probability, together[1].probability)
    for image, said in zip(pictures, together, strict=True):
        alone = head.predict(image, GOAL)
        assert torch.allclose(
            torch.from_numpy(alone.probability), torch.from_numpy(said.probability), atol=0.02
        )


def test_a_goal_that_asks_for_nothing_is_absent_with_the_reason(head):
    said = head.predict(picture(20, 30), "fly to the moon")
    assert said.status is MaskStatus.ABSENT and said.sentence == "" and said.reason
    assert said.probability.shape == (3, 20, 30) and not said.probability.any()


def test_a_word_that_counts_for_nothing_is_in_the_reason(head):
    said = head.predict(picture(20, 30), "pick up the small red cup")
    assert said.sentence == "pick up the red cup" and "'small'" in said.reason
    assert head.predict(picture(20, 30), "pick up the red cup").reason == ""


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(head, wrong):
    with pytest.raises(InputError, match=r"expected uint8 \(H, W, 3\)"):
        head.predict(wrong, GOAL)
