"""A few numbers say where the masks are."""

from __future__ import annotations

import pytest
import torch

from robot.policy.geometry import MOMENTS, PER_CAMERA, ROLES, mask_geometry

SIDE = 33  # odd: there is a pixel in the middle


def picture(**boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """Return one composite (1, 1, 6, SIDE, SIDE) with a box (top, left, bottom, right) per role."""
    image = torch.zeros(1, 1, 6, SIDE, SIDE)
    for role, (top, left, bottom, right) in boxes.items():
        image[
            0, 0, 3 + ("target", "destination", "gripper").index(role), top:bottom, left:right
        ] = 1
    return image


def moments(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return moments (roles, 4) and offsets (2, 2)."""
    geometry = mask_geometry(image)[0]
    assert geometry.shape == (PER_CAMERA,)
    return geometry[: ROLES * MOMENTS].reshape(ROLES, MOMENTS), geometry[ROLES * MOMENTS :].reshape(
        2, 2
    )


def test_area_and_centre_are_of_the_mask():
    of_roles, _ = moments(picture(target=(0, 14, 3, 19), gripper=(15, 30, 18, 33)))
    visible, area, x, y = of_roles[0].tolist()
    assert (visible, area) == (1, pytest.approx(4 * 15 / SIDE**2))
    assert (x, y) == (pytest.approx(0, abs=1e-6), pytest.approx(-1 + 2 / 32)), (
        "in the middle, at the top"
    )
    assert of_roles[2, 2:].tolist() == [pytest.approx(1 - 2 / 32), pytest.approx(0, abs=1e-6)], (
        "at the right, in the middle"
    )


def test_offsets_lead_from_the_gripper_to_the_target_and_on_to_the_destination():
    boxes = {"gripper": (0, 0, 3, 3), "target": (8, 16, 11, 19), "destination": (8, 0, 11, 3)}
    _, offsets = moments(picture(**boxes))
    torch.testing.assert_close(offsets, torch.tensor([[1.0, 0.5], [-1.0, 0.0]]))


def test_what_is_out_of_sight_says_nothing():
    of_roles, offsets = moments(picture(gripper=(0, 0, 3, 3)))
    assert not of_roles[:2].any() and not offsets.any()


def test_cameras_come_one_after_the_other_and_samples_are_apart():
    one, other = picture(target=(0, 0, 4, 4)), picture(target=(20, 20, 24, 24))
    both = mask_geometry(
        torch.cat([torch.cat([one, other], dim=1), torch.cat([other, other], dim=1)])
    )
    assert both.shape == (2, 2 * PER_CAMERA)
    alone = mask_geometry(other)[0]
    torch.testing.assert_close(
        both[0, ROLES * MOMENTS : 2 * ROLES * MOMENTS], alone[: ROLES * MOMENTS]
    )
    assert not torch.equal(both[0], both[1])
