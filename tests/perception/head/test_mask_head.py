from dataclasses import replace

import pytest
import torch

from robot.batch import LanguageTokens, MaskBatch
from robot.language import LanguageEncoder
from robot.perception.head.losses import coarse_loss, dice_loss, iou_loss
from robot.perception.head.mask_head import MaskHead
from robot.types import InputError

SMALL = {"widths": (16, 16, 16), "blocks": (1, 1, 1), "dim": 32, "heads": 2, "depth": 1}


@pytest.fixture
def head() -> MaskHead:
    torch.manual_seed(0)
    return MaskHead(**SMALL)


def batch(count: int = 3, side: int = 32) -> MaskBatch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(count, side, side, dtype=torch.uint8)
    labels[:, 4:12, 4:12], labels[:, 20:24, 20:24] = 1, 3
    return MaskBatch(
        frames=torch.randint(
            0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8
        ),
        language=LanguageEncoder.hashed().encode(["lift the red cup", "go", "put a on b"][:count]),
        labels=labels,
        presence=torch.tensor([[1.0, 0.0]]).repeat(count, 1),
    )


def test_outputs_have_the_shape_of_the_frames(head):
    output = head(batch().frames, batch().language)
    assert output.logits.shape == (3, 3, 32, 32) and output.presence_logits.shape == (3, 2)
    assert output.predicted_iou.shape == (3,)
    assert output.predicted_iou.min() >= 0 and output.predicted_iou.max() <= 1


def test_frames_need_not_be_square(head):
    frames = torch.zeros(1, 3, 32, 48, dtype=torch.uint8)
    assert head(frames, LanguageEncoder.hashed().encode(["go"])).logits.shape == (1, 3, 32, 48)


def test_loss_is_one_finite_number_per_sample(head):
    loss = head.loss(batch())
    assert loss.shape == (3,) and loss.isfinite().all()


def test_loss_of_a_sample_does_not_depend_on_its_batch(head):
    torch.testing.assert_close(head.loss(batch())[:1], head.loss(batch(1)), atol=1e-5, rtol=1e-5)


def test_longer_padding_changes_nothing(head):
    one = batch(1)
    padded = LanguageTokens(one.language.tokens[:, :4], one.language.valid[:, :4])
    torch.testing.assert_close(
        head.loss(one), head.loss(replace(one, language=padded)), atol=1e-5, rtol=1e-5
    )


def test_every_parameter_learns(head):
    # the second convolution of every block starts at zero: one step, then all of them have a
    # gradient
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        head.loss(batch()).sum().backward()
        optimizer.step()
    idle = [
        name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert idle == []


def test_iou_estimate_does_not_teach_the_mask():
    logits, predicted = (
        torch.ones(1, 4, 4, requires_grad=True),
        torch.tensor([0.5], requires_grad=True),
    )
    truth = torch.zeros(1, 4, 4)
    truth[0, :2] = 1
    iou_loss(predicted, logits, truth).sum().backward()
    assert logits.grad is None and predicted.grad.item() == 0  # the true IoU is 8 / 16 = .5


def test_iou_estimate_is_not_judged_where_mask_and_truth_are_empty():
    assert iou_loss(torch.tensor([0.3]), -torch.ones(1, 4, 4), torch.zeros(1, 4, 4)).item() == 0


def test_empty_channel_adds_no_dice():
    truth = torch.zeros(1, 2, 4, 4)
    truth[0, 1, 0, 0] = 1
    # channel 1: probability one half everywhere: dice = (2 * .5 + 1) / (8 + 1 + 1) = .2
    assert dice_loss(torch.zeros(1, 2, 4, 4), truth)[0].tolist() == pytest.approx([0, 0.8])


def test_coarse_truth_is_a_patch_with_any_true_pixel():
    truth = torch.zeros(1, 1, 16, 16)
    truth[0, 0, 0, 0] = 1
    right = torch.full((1, 1, 2, 2), -20.0)
    right[0, 0, 0, 0] = 20
    assert coarse_loss(right, truth).item() == pytest.approx(0, abs=1e-5)


def test_calibration_travels_with_the_weights(head):
    head.presence_bias.fill_(3.0)
    other = MaskHead(**SMALL)
    other.load_state_dict(head.state_dict())
    assert other.presence_probability(torch.zeros(1, 2))[0, 0].item() == pytest.approx(
        1 / (1 + 2.718281828**-3.0), abs=1e-4
    )


def test_frames_that_do_not_divide_into_patches_are_refused(head):
    with pytest.raises(InputError, match="multiples of 16"):
        head(torch.zeros(1, 3, 30, 32, dtype=torch.uint8), LanguageEncoder.hashed().encode(["go"]))


def test_float_frames_are_refused(head):
    with pytest.raises(InputError, match="uint8"):
        head(torch.zeros(1, 3, 32, 32), LanguageEncoder.hashed().encode(["go"]))


@pytest.mark.parametrize("bad", [{"widths": [16, 16]}, {"dim": 30, "heads": 4}])
def test_impossible_shapes_of_a_head_are_refused(bad):
    with pytest.raises(InputError, match="expected three widths"):
        MaskHead(**bad)


def test_default_head_has_about_a_million_parameters():
    assert 0.5e6 < sum(p.numel() for p in MaskHead().parameters()) < 1.6e6


@pytest.fixture
def pair() -> MaskHead:
    """A head of two cameras."""
    torch.manual_seed(0)
    return MaskHead(**SMALL, cameras=2)


def two_looks() -> MaskBatch:
    """Frames 0 and 1 are one look, 2 and 3 another."""
    one = batch(2)

    def twice(x):
        return torch.cat([x, x.flip(0)])

    language = LanguageTokens(twice(one.language.tokens), twice(one.language.valid))
    return replace(
        one,
        frames=twice(one.frames),
        labels=twice(one.labels),
        presence=twice(one.presence),
        language=language,
    )


def test_what_one_camera_sees_changes_the_other_cameras_mask_in_the_same_look_only(pair):
    looks = two_looks()
    changed = looks.frames.clone()
    changed[1] = 255 - changed[1]
    before, after = (pair(frames, looks.language).logits for frames in (looks.frames, changed))
    assert (before[0] - after[0]).abs().max() > 1e-3
    torch.testing.assert_close(before[2:], after[2:])


def test_cameras_are_told_apart_by_their_place_in_the_look(pair):
    looks = two_looks()
    swapped = torch.tensor([1, 0, 3, 2])
    logits = pair(looks.frames, looks.language).logits
    other = pair(looks.frames[swapped], looks.language[swapped]).logits[swapped]
    assert (logits - other).abs().max() > 1e-3


def test_half_a_look_is_refused(pair):
    with pytest.raises(InputError, match="got 3 frames, expected a multiple of 2"):
        pair(batch(3).frames, batch(3).language)


def test_a_head_without_cameras_is_refused():
    with pytest.raises(InputError, match="got cameras 0"):
        MaskHead(**SMALL, cameras=0)
