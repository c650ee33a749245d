import pytest
import torch

from robot.batch import LanguageTokens, MaskBatch
from robot.perception.compose.augment import CompositeAugment, MaskAugment, colour_maps
from robot.perception.compose.light import Photometric
from robot.types import InputError

NO_LIGHT = Photometric(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, offset=0.0)


def composite(colour: float = 0.8, fill: float = 0.5) -> torch.Tensor:
    """Two cameras of 9 x 9: a 3 x 3 target of one colour in the middle of the grey fill."""
    images = torch.zeros(1, 2, 6, 9, 9)
    images[:, :, :3] = fill
    images[:, :, :3, 3:6, 3:6] = colour
    images[:, :, 3, 3:6, 3:6] = 1
    return images


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_composite_without_changes_is_unchanged():
    images = composite()
    torch.testing.assert_close(CompositeAugment(jitter=NO_LIGHT, ring=0.0)(images), images)


def test_jitter_changes_inside_the_mask_and_restores_the_fill_outside():
    images = composite()
    changed = CompositeAugment(ring=0.0)(images, seeded())
    assert (changed - images)[:, :, :3, 3:6, 3:6].abs().min() > 1e-4
    outside = torch.ones(9, 9, dtype=torch.bool)
    outside[3:6, 3:6] = False
    assert changed[:, :, :3, outside].eq(0.5).all()


def test_fill_of_half_covered_pixels_is_not_jittered():
    images = composite()
    images[:, :, 3] *= 0.5
    images[:, :, :3] = 0.5  # half of a grey object over grey fill
    changed = CompositeAugment(
        jitter=Photometric(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, offset=0.1),
        ring=0.0,
    )(images, seeded())
    full = CompositeAugment(
        jitter=Photometric(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, offset=0.1),
        ring=0.0,
    )(composite(0.5), seeded())
    torch.testing.assert_close(
        2 * (changed[..., 4, 4] - 0.5)[:, :, :3], (full[..., 4, 4] - 0.5)[:, :, :3]
    )


def test_ring_is_one_pixel_wide_and_of_one_colour():
    changed = CompositeAugment(jitter=None)(composite(), seeded())[0, 0]
    ring = (changed[:3] - composite()[0, 0, :3]).abs().amax(dim=0) > 0
    assert ring.sum() == 5 * 5 - 3 * 3 and ring[2:7, 2:7].sum() == 16
    assert changed[:3, ring].std(dim=1).max() < 1e-6


def test_ring_is_not_coverage():
    changed = CompositeAugment(jitter=None)(composite(), seeded())
    assert torch.equal(changed[:, :, 3:], composite()[:, :, 3:])


def test_unmasked_composite_has_no_ring_and_is_jittered_everywhere():
    images = torch.full((1, 1, 6, 8, 8), 0.4)
    images[:, :, 3:] = 1
    changed = CompositeAugment()(images, seeded())[0, 0, :3].flatten(1)
    assert changed.std(dim=1).max() < 1e-6 and (changed - 0.4).abs().max() > 1e-3


def test_no_fill_jitters_the_whole_frame_like_an_unmasked_one():
    images = torch.rand(2, 1, 6, 8, 8)
    unmasked = images.clone()
    unmasked[:, :, 3:] = 1
    whole = CompositeAugment(fill=None)(images, seeded())[:, :, :3]
    torch.testing.assert_close(whole, CompositeAugment()(unmasked, seeded())[:, :, :3])


def test_drop_takes_the_target_from_picture_and_coverage():
    changed = CompositeAugment(jitter=None, ring=0.0, drop=1.0)(composite())
    torch.testing.assert_close(changed[:, :, :3], torch.full((1, 2, 3, 9, 9), 0.5))
    assert changed[:, :, 3:].eq(0).all()


def test_drop_leaves_the_gripper():
    images = composite()
    images[:, :, 5] = images[:, :, 3]
    images[:, :, 3] = 0
    torch.testing.assert_close(CompositeAugment(jitter=None, ring=0.0, drop=1.0)(images), images)


def test_shift_moves_picture_and_coverage_together():
    changed = CompositeAugment(jitter=None, ring=0.0, shift=3)(composite(), seeded())
    assert torch.equal(changed[:, :, 0] > 0.6, changed[:, :, 3] > 0.5)
    assert not torch.equal(changed, composite())


def test_input_is_not_changed_in_place():
    images = composite()
    before = images.clone()
    CompositeAugment(shift=2, drop=0.5, noise=0.1)(images, seeded())
    assert torch.equal(images, before)


def test_composites_stay_in_range():
    changed = CompositeAugment(noise=0.5)(torch.cat([composite(1.0), composite(0.0)]), seeded())
    assert changed.min() >= 0 and changed.max() <= 1


def test_same_seed_gives_the_same_change():
    augment = CompositeAugment(shift=2, drop=0.5, noise=0.1)
    assert torch.equal(augment(composite(), seeded()), augment(composite(), seeded()))


def test_largest_tint_keeps_red_red():
    red = torch.tensor([0.8, 0.1, 0.1])
    matrices, shifts = colour_maps(Photometric(), 200, seeded())
    lit = (matrices @ red[:, None] + shifts).squeeze(-1)
    assert (lit[:, 0] > 2 * lit[:, 1:].amax(dim=1)).all()


def test_noise_needs_no_jitter():
    changed = CompositeAugment(jitter=None, ring=0.0, noise=0.5)(composite(), seeded())
    assert not torch.equal(changed, composite()) and changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("bad", [{"ring": 1.5}, {"drop": -0.1}, {"shift": -1}, {"noise": -1.0}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(InputError, match="expected"):
        CompositeAugment(**bad)


def batch_with_square(top: int = 28) -> MaskBatch:
    frames = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    labels = torch.zeros(8, 64, 64, dtype=torch.uint8)
    frames[:, 0, top : top + 8, 28:36], labels[:, top : top + 8, 28:36] = 255, 1
    language = LanguageTokens(
        tokens=torch.zeros(8, 1, 384), valid=torch.ones(8, 1, dtype=torch.bool)
    )
    return MaskBatch(
        frames=frames, language=language, labels=labels, presence=torch.tensor([[1.0, 0.0]] * 8)
    )


def test_mask_augment_moves_labels_with_the_frame():
    changed = MaskAugment(light=NO_LIGHT, shade=0.0, blur=0.0, noise=0.0)(
        batch_with_square(), seeded()
    )
    shown, labelled = changed.frames[:, 0] > 200, changed.labels == 1
    overlap = (shown & labelled).sum(dim=(1, 2)) / (shown | labelled).sum(dim=(1, 2))
    assert overlap.min() > 0.75 and not torch.equal(changed.labels, batch_with_square().labels)


def test_mask_augment_without_changes_is_the_identity():
    batch = batch_with_square()
    changed = MaskAugment(light=NO_LIGHT, shade=0.0, blur=0.0, noise=0.0, zoom=0.0, move=0.0)(
        batch, seeded()
    )
    assert torch.equal(changed.frames, batch.frames) and torch.equal(changed.labels, batch.labels)


def test_target_that_leaves_the_view_is_absent():
    changed = MaskAugment(move=0.4, zoom=0.0)(batch_with_square(top=0), seeded())
    gone = ~(changed.labels == 1).flatten(1).any(dim=1)
    assert gone.any() and not gone.all()
    assert torch.equal(changed.presence[:, 0], (~gone).float())
