"""Goals of the data engine's records become mask frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot.data.mask_frames import MaskRecord, in_memory, joined
from robot.data.record_frames import load_records, record_files, with_records
from robot.types import InputError, Label
from tests.data.goal_records import CAMERAS, picture, write_goals

SIDE = 16


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_goals(tmp_path, side=SIDE)


def test_a_goal_is_labelled_in_every_camera(root):
    frames = load_records(record_files(root), cameras=CAMERAS, size=SIDE)
    assert frames.cameras == CAMERAS * 2 and frames.cameras_per_look == 2
    assert frames.goals == ("take the leftmost cup",) and len(frames.images) == 2
    assert frames.images[frames.image_ids[0]].max() == 0  # agentview's own
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[0:4, 2:8], expected[8:10, 2:8] = Label.TARGET, Label.GRIPPER
    np.testing.assert_array_equal(frames.labels[0], expected)
    assert frames.presence.tolist() == [[True, False], [False, False]] * 2
    assert frames.trusted.tolist() == [True, True, False, False]


def test_they_stand_beside_other_mask_frames(root):
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    plain = in_memory(
        [
            MaskRecord(picture(9, SIDE), nothing, goal, False, False, c, "s", 1)
            for goal in ("take the leftmost cup", "take the red cup")
            for c in CAMERAS
        ]
    )
    both = with_records(plain, record_files(root))
    assert len(both) == 8 and both.trusted.tolist() == [True] * 6 + [False] * 2
    assert [both.goals[k] for k in both.goal_ids[::2]] == [
        *("take the leftmost cup", "take the red cup"),
        *("take the leftmost cup", "take the leftmost cup"),
    ]
    assert both.images[both.image_ids[5]].max() == 1  # the wrist of the first record
    assert with_records(plain, ()) is plain
    assert len(joined(plain, plain).goals) == 2


def test_pictures_of_another_size_and_data_without_goals_are_rejected(root):
    with pytest.raises(InputError, match="16 px.*expected 64.*image_size=64"):
        load_records(record_files(root), cameras=CAMERAS, size=64)
    with pytest.raises(InputError, match="no goals seen by front.*generators="):
        load_records(record_files(root), cameras=("front",), size=SIDE)
    with pytest.raises(InputError, match="holds no records.*launch/generate.py root="):
        record_files(root / "nowhere")
