"""Where things are over the table, by hand-computed cameras."""

from __future__ import annotations

import numpy as np
import pytest

from robot.perception.regions.places import (
    MIDDLE_M,
    Outline,
    carried,
    outline_of,
    place_on_table,
    project,
    refined,
    scaled,
    warp_between,
)
from robot.types import Viewpoint

DOWN = np.diag([1.0, -1.0, -1.0])  # a camera that looks straight down, its x along the table's


def above(
    x: float, y: float, z: float, *, focal: float = 100.0, on_hand: bool = False
) -> Viewpoint:
    """Return a camera over a point of the table, 128 x 128 px."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = DOWN, (x, y, z)
    return Viewpoint(np.array([[focal, 0, 64], [0, focal, 64], [0, 0, 1.0]]), pose, on_hand)


def test_a_ray_meets_the_table_where_the_thing_stands():
    place = place_on_table(Outline(74.0, 54.0, 5.0), above(0.5, 0.0, 1.0 + MIDDLE_M))
    assert place is not None
    # 10 px right and up of the middle, 1 m away, at 100 px: 0.1 m; the picture's y is down
    np.testing.assert_allclose(place.middle_m, [0.6, 0.1, MIDDLE_M])
    assert place.radius_m == pytest.approx(0.05)


def test_a_ray_that_leaves_the_table_finds_nothing():
    up = above(0.5, 0.0, -1.0)
    assert place_on_table(Outline(64.0, 64.0, 5.0), up) is None


def test_another_camera_sees_the_place_where_it_is():
    place = place_on_table(Outline(74.0, 54.0, 5.0), above(0.5, 0.0, 1.0 + MIDDLE_M))
    assert place is not None
    spot = project(place, above(0.6, 0.0, 0.5 + MIDDLE_M))
    assert spot is not None
    assert (spot.x, spot.y) == pytest.approx((64.0, 44.0))  # 0.1 m at half the distance: 20 px
    assert spot.radius == pytest.approx(10.0) and spot.per_m == pytest.approx(200.0)
    assert project(place, above(0.6, 0.0, -0.5)) is None  # it looks away from the thing


def test_a_second_camera_corrects_the_height():
    """Seen from aside, a thing 6 cm above the table's things lies elsewhere than it seemed."""
    truth = np.array([0.5, 0.0, 0.08])
    aside = above(0.5, 0.0, 1.0)
    turn = np.array([[0.0, 0, -1.0], [1.0, 0, 0], [0, -1.0, 0]])  # looks along -x, its y is down
    aside.T_table_camera[:3, :3], aside.T_table_camera[:3, 3] = turn, (1.5, 0.0, 0.02)
    place = place_on_table(Outline(64.0, 64.0, 3.0), above(0.5, 0.0, 1.0))
    assert place is not None and place.middle_m[2] == pytest.approx(MIDDLE_M)
    for _ in range(4):
        place = refined(place, Outline(64.0, 64.0 - 6.0, 3.0), aside)
    np.testing.assert_allclose(place.middle_m, truth, atol=0.015)


def test_what_the_hand_has_moves_as_its_camera_does():
    before, now = above(0.5, 0.0, 0.3, on_hand=True), above(0.6, -0.1, 0.4, on_hand=True)
    place = place_on_table(Outline(70.0, 60.0, 5.0), before)
    assert place is not None
    moved = carried(place, before, now)
    np.testing.assert_allclose(moved.middle_m, place.middle_m + [0.1, -0.1, 0.1])
    then, later = project(place, before), project(moved, now)
    assert then is not None and later is not None
    assert (later.x, later.y) == pytest.approx((then.x, then.y))


def test_a_mask_is_warped_as_the_camera_came_nearer_and_turned():
    before, now = above(0.5, 0.0, 1.0 + MIDDLE_M), above(0.5, 0.0, 0.5 + MIDDLE_M)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    now.T_table_camera[:3, :3] = DOWN @ quarter
    place = place_on_table(Outline(74.0, 64.0, 5.0), before)
    assert place is not None
    warp = warp_between(place, before, place, now)
    assert warp is not None
    spot = project(place, now)
    assert spot is not None
    np.testing.assert_allclose(warp @ [74.0, 64.0, 1.0], [spot.x, spot.y])
    corner = np.array([0.65, 0.02, MIDDLE_M])  # another point of the thing
    pixels = []
    for viewpoint in (before, now):
        seen = np.linalg.inv(viewpoint.T_table_camera) @ [*corner, 1.0]
        pixels.append((viewpoint.K @ seen[:3])[:2] / seen[2])
    np.testing.assert_allclose(warp @ [*pixels[0], 1.0], pixels[1], atol=1e-9)


def test_a_resized_frame_has_the_same_places():
    viewpoint = above(0.5, 0.0, 1.0)
    half = scaled(viewpoint, own=(128, 128), size=(64, 64))
    place = place_on_table(Outline(74.0, 54.0, 4.0), viewpoint)
    again = place_on_table(Outline(37.0, 27.0, 2.0), half)
    assert place is not None and again is not None
    np.testing.assert_allclose(again.middle_m, place.middle_m)


def test_an_outline_is_the_box_around_a_mask():
    mask = np.zeros((20, 20))
    mask[4:8, 10:16] = 1
    assert outline_of(mask) == Outline(13.0, 6.0, 3.0)
    assert outline_of(np.zeros((20, 20))) is None
