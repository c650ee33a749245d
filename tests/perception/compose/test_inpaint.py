from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from robot.perception.compose.inpaint import Inpaint, inpaint
from robot.perception.compose.masking import compose
from robot.types import InputError


def two_frames() -> tuple[np.ndarray, torch.Tensor]:
    """Return two frames of 8 x 8, green in the kept corner and red elsewhere, and their masks."""
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[..., 0] = 255
    frames[:, :4, :4] = (0, 255, 0)
    mask = torch.zeros(2, 3, 8, 8)
    mask[:, 0, :4, :4] = 1
    return frames, mask


@pytest.fixture
def plate(tmp_path):
    """Write a picture of the empty scene, all blue, and return its path."""
    path = tmp_path / "plate.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), (255, 0, 0), np.uint8))  # OpenCV writes BGR
    return str(path)


def test_the_plate_is_shown_where_nothing_is_kept(plate):
    frames, mask = two_frames()
    rgb = compose(frames, mask, deployment=Inpaint(plates=(plate,)), size=8)[0, :3]
    assert rgb[:, 0, 0].tolist() == [0, 1, 0] and rgb[:, 7, 7].tolist() == [0, 0, 1]


def test_each_camera_has_its_own_plate_or_none(plate):
    frames, mask = two_frames()
    rgb = compose(frames, mask, deployment=Inpaint(plates=(plate, "")), size=8)[:, :3]
    assert rgb[0, :, 7, 7].tolist() == [0, 0, 1] and rgb[1, :, 7, 7].tolist() == [0, 1, 0]


def test_plates_follow_the_cameras_through_the_steps_of_an_episode():
    rgb, kept = torch.zeros(4, 3, 2, 2), torch.zeros(4, 1, 2, 2)
    plates = [np.full((2, 2, 3), value, np.uint8) for value in (255, 51)]
    painted = inpaint(rgb, kept, plates=plates, radius=3.0)
    torch.testing.assert_close(painted[:, 0, 0, 0], torch.tensor([1.0, 0.2, 1.0, 0.2]))


def test_without_a_plate_the_kept_colour_is_continued():
    frames, mask = two_frames()
    rgb = compose(frames, mask, deployment=Inpaint(), size=8)[0, :3]
    torch.testing.assert_close(rgb, torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, 8, 8))


def test_what_is_hidden_does_not_show_through():
    frames, mask = two_frames()
    other = frames.copy()
    other[:, 4:, 4:] = 77
    first, second = (compose(f, mask, deployment=Inpaint(), size=8) for f in (frames, other))
    assert torch.equal(first, second)


def test_nothing_kept_without_a_plate_is_flat():
    frames, mask = two_frames()
    assert compose(frames, 0 * mask, deployment=Inpaint(), size=8)[:, :3].eq(0.5).all()


def test_a_missing_plate_is_refused_when_the_deployment_is_made():
    with pytest.raises(InputError, match="got background plate 'nowhere.png', expected a PNG"):
        Inpaint(plates=("nowhere.png",))


def test_a_plate_of_another_size_is_refused(plate):
    with pytest.raises(InputError, match="expected the same size"):
        compose(
            np.zeros((1, 4, 4, 3), np.uint8),
            torch.zeros(1, 3, 4, 4),
            deployment=Inpaint(plates=(plate,)),
            size=4,
        )


def test_a_list_of_plates_from_yaml_is_as_good_as_a_tuple(plate):
    assert Inpaint(plates=[plate]) == Inpaint(plates=(plate,))  # type: ignore[arg-type]


def test_a_camera_gets_its_own_plate(tmp_path):
    file = tmp_path / "plate.png"
    cv2.imwrite(str(file), np.zeros((4, 4, 3), np.uint8))
    both = Inpaint(plates=("", str(file)))
    assert [both.for_camera(k).plates for k in (0, 1)] == [("",), (str(file),)]
    assert Inpaint().for_camera(5) == Inpaint()
    with pytest.raises(InputError, match="got 2 plates for more cameras"):
        both.for_camera(2)
