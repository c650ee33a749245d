import numpy as np
import pytest
import torch

from robot.perception.compose.masking import (
    Blur,
    Channel,
    Crop,
    CropBox,
    Greyscale,
    Overlay,
    Unmasked,
    area_resize,
    box_around,
    compose,
    compose_cameras,
    from_uint8,
    gaussian_blur,
    labels_from_mask,
    mask_from_labels,
    square_around,
    to_uint8,
)
from robot.types import InputError


def white(side: int = 4) -> np.ndarray:
    return np.full((1, side, side, 3), 255, np.uint8)


def corner_mask(side: int = 4, channel: int = 0) -> torch.Tensor:
    mask = torch.zeros(1, 3, side, side)
    mask[0, channel, : side // 2, : side // 2] = 1
    return mask


def test_labels_and_mask_are_inverse():
    labels = torch.randint(0, 4, (2, 8, 8), dtype=torch.uint8)
    assert torch.equal(labels_from_mask(mask_from_labels(labels)), labels)


def test_mask_channels_are_target_destination_gripper():
    mask = mask_from_labels(torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8))
    assert mask[0].argmax(0).flatten().tolist()[1:] == [0, 1, 2]
    assert mask[0, :, 0, 0].sum() == 0


def test_overlay_paints_outside_the_mask_grey():
    rgb = compose(white(), corner_mask(), deployment=Overlay(fill=0.25), size=4)[0, :3]
    assert rgb[:, :2, :2].eq(1).all() and rgb[:, 2:].eq(0.25).all() and rgb[:, :, 2:].eq(0.25).all()


def test_overlay_without_any_mask_is_flat():
    composite = compose(white(), torch.zeros(1, 3, 4, 4), deployment=Overlay(fill=0.5), size=2)
    assert composite[:, :3].eq(0.5).all() and composite[:, 3:].eq(0).all()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_target_destination_and_gripper_all_count_as_kept(channel):
    composite = compose(white(), corner_mask(channel=channel), deployment=Overlay(), size=4)
    assert composite[0, :3, 0, 0].eq(1).all() and composite[0, 3 + channel, 0, 0] == 1


def test_exactly_half_probability_is_hidden():
    assert compose(white(), 0.5 * corner_mask(), deployment=Overlay(), size=4)[:, 3:].sum() == 0


def test_dilation_by_one_grows_a_pixel_to_three_by_three():
    mask = torch.zeros(1, 3, 5, 5)
    mask[0, 0, 2, 2] = 1
    assert compose(white(5), mask, deployment=Overlay(dilation=1), size=5)[:, 3].sum() == 9


def test_contested_pixel_goes_to_the_more_probable_role():
    mask = torch.tensor([0.6, 0.9, 0.7]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert compose(white(), mask, deployment=Overlay(), size=4)[0, 3:, 0, 0].tolist() == [0, 1, 0]


def test_composite_is_averaged_over_area():
    composite = compose(white(), corner_mask(), deployment=Overlay(fill=0.5), size=1)[0, :, 0, 0]
    assert composite.tolist() == [0.625, 0.625, 0.625, 0.25, 0, 0]


def test_area_resize_by_a_fraction_keeps_the_mean():
    image = torch.rand(2, 1, 128, 128)
    torch.testing.assert_close(area_resize(image, size=96).mean(dim=(2, 3)), image.mean(dim=(2, 3)))


def test_area_resize_of_three_pixels_to_two():
    row = torch.tensor([0.0, 3.0, 6.0]).expand(1, 1, 3, 3)
    torch.testing.assert_close(area_resize(row, size=2)[0, 0, 0], torch.tensor([1.0, 5.0]))


def test_window_of_area_resize_is_a_crop():
    image = torch.rand(1, 2, 8, 8)
    cropped = area_resize(image, size=2, window=torch.tensor([[4.0, 2.0, 6.0, 4.0]]))
    torch.testing.assert_close(cropped, image[:, :, 2:4, 4:6])


def test_greyscale_keeps_colour_inside_only():
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    rgb = compose(red, corner_mask(), deployment=Greyscale(), size=4)[0, :3]
    assert rgb[:, 0, 0].tolist() == [1, 0, 0]
    torch.testing.assert_close(rgb[:, 3, 3], torch.full((3,), 0.299))


def test_blur_keeps_the_inside_sharp_and_smooths_the_outside():
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    rgb = compose(frame, corner_mask(16), deployment=Blur(sigma=2.0), size=16)[0, :3]
    sharp = torch.as_tensor(frame[0]).permute(2, 0, 1) / 255
    torch.testing.assert_close(rgb[:, :8, :8], sharp[:, :8, :8])
    assert rgb[:, 8:].std() < 0.5 * sharp[:, 8:].std()


def test_gaussian_blur_leaves_a_flat_image_alone():
    flat = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(gaussian_blur(flat, sigma=3.0), flat)


def test_channel_shows_the_frame_and_gives_the_masks():
    composite = compose(white(), corner_mask(), deployment=Channel(), size=4)[0]
    assert composite[:3].eq(1).all() and composite[3].sum() == 4


def test_unmasked_covers_everything_whatever_the_mask():
    composite = compose(white(), torch.zeros(1, 3, 4, 4), deployment=Unmasked(), size=2)
    assert composite.eq(1).all()


def test_crop_zooms_to_the_mask():
    composite = compose(white(8), corner_mask(8), deployment=Crop(margin=0.0), size=8)
    assert composite[:, 3].eq(1).all()


def test_crop_of_an_empty_mask_is_the_whole_frame():
    assert square_around(torch.zeros(1, 1, 6, 8), margin=0.5).tolist() == [[0, 0, 8, 6]]


def test_crop_square_stays_inside_the_frame():
    kept = torch.zeros(1, 1, 10, 10)
    kept[..., 8:10, 4:6] = 1  # 2 px square at the lower border, margin 1 px a side -> side 4
    assert square_around(kept, margin=0.5).tolist() == [[3, 6, 7, 10]]


def test_channels_first_and_last_frames_give_the_same_composite():
    frames = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mask = torch.rand(2, 3, 8, 8)
    first = compose(frames, mask, deployment=Overlay(), size=4)
    last = compose(frames.permute(0, 2, 3, 1).numpy(), mask.numpy(), deployment=Overlay(), size=4)
    assert torch.equal(first, last)


def test_cached_composites_come_back_within_half_a_grey_level():
    composites = torch.rand(2, 6, 4, 4)
    assert (from_uint8(to_uint8(composites)) - composites).abs().max() <= 1 / 510 + 1e-6


def test_float_frames_are_refused_with_a_teaching_error():
    with pytest.raises(InputError, match="expected uint8"):
        compose(torch.rand(1, 3, 4, 4), corner_mask(), deployment=Overlay(), size=4)  # type: ignore[arg-type]


def test_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="one mask per frame"):
        compose(white(8), corner_mask(4), deployment=Overlay(), size=4)


def test_threshold_of_one_is_refused():
    with pytest.raises(InputError, match="threshold"):
        Overlay(threshold=1.0)


def test_dilation_share_is_of_the_frames_height():
    mask = torch.zeros(1, 3, 40, 40)
    mask[0, 0, 20, 20] = 1
    # kernel 2 * int(.05 * 40) + 1 = 5
    assert Overlay(dilation_share=0.05).coverage(mask)[0, 0].sum() == 25


def test_soft_edge_blends_frame_and_fill():
    deployment = Overlay(fill=0.0, edge_sigma=1.0)
    coverage = deployment.coverage(corner_mask(8))
    rgb = compose(white(8), corner_mask(8), deployment=deployment, size=8)[0, :3]
    assert 0.4 < coverage[0, 0, 0, 3] < 1 and 0 < coverage[0, 0, 0, 4] < 0.5
    torch.testing.assert_close(rgb[0], coverage[0, 0])


def test_soft_edges_of_two_roles_leave_no_seam_between_them():
    mask = torch.zeros(1, 3, 8, 8)
    mask[0, 0, :, :4], mask[0, 1, :, 4:] = 1, 1
    rgb = compose(white(8), mask, deployment=Overlay(fill=0.0, edge_sigma=1.0), size=8)[0, :3]
    torch.testing.assert_close(rgb, torch.ones(3, 8, 8))


def test_crop_box_zooms_to_the_box_and_not_to_a_square():
    mask = torch.zeros(1, 3, 8, 8)
    mask[0, 0, 2:4, 1:7] = 1
    assert box_around(mask[:, :1]).tolist() == [[1, 2, 7, 4]]
    assert compose(white(8), mask, deployment=CropBox(), size=8)[0, 3].eq(1).all()


def test_box_of_an_empty_mask_is_the_whole_frame():
    assert box_around(torch.zeros(1, 1, 6, 8)).tolist() == [[0, 0, 8, 6]]


@pytest.mark.parametrize(
    "deployment", [Overlay(), Crop(), CropBox(), CropBox(edge_sigma=2.0, dilation_share=0.05)]
)
def test_a_missing_target_never_shows_the_frame(deployment):
    composite = compose(white(8), torch.zeros(1, 3, 8, 8), deployment=deployment, size=8)
    assert composite[:, :3].eq(0.5).all() and composite[:, 3:].eq(0).all()


@pytest.mark.parametrize("bad", [{"dilation_share": 0.5}, {"edge_sigma": -1.0}])
def test_impossible_softening_is_refused(bad):
    with pytest.raises(InputError, match="dilation_share"):
        Overlay(**bad)


# --- cameras of different sizes


def test_cameras_of_different_sizes_are_composed_at_their_own_and_shrunk_to_one():
    frames = [np.full((2, *size, 3), 255, np.uint8) for size in ((12, 18), (10, 10))]
    masks = [np.zeros((2, 3, *size), np.float32) for size in ((12, 18), (10, 10))]
    masks[0][:, 0, :, :9] = 1  # the left half of the wide camera
    seen = compose_cameras(frames, masks, deployment=Overlay(fill=0.0), size=4)
    assert seen.shape == (2, 2, 6, 4, 4)
    torch.testing.assert_close(seen[0, 0, 0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert (seen[:, 1] == 0).all()


def test_shrinking_by_a_factor_that_is_not_whole_averages_areas():
    columns = torch.arange(6.0).expand(1, 1, 6, 6)
    shrunk = area_resize(columns, size=(2, 4))
    assert shrunk.shape == (1, 1, 2, 4)
    expected = torch.tensor([1 / 3, 5 / 3, 10 / 3, 14 / 3])  # cells of 1.5 pixels
    torch.testing.assert_close(shrunk[0, 0, 0], expected)
