"""A mask head that learns from the labels beside demonstrations, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.mask_frames import MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.perception.head.base import Head
from robot.train.demonstrations import Selection
from robot.train.own_head import EVERY, SHARDS, records_of, train_own_head, write_frames
from robot.types import InputError
from tests.experiment.toy import GOALS, episode, head_training, write_demonstrations

pytestmark = pytest.mark.usefixtures("hashed_words")


def test_every_fourth_look_of_all_cameras_with_its_labels():
    recorded = episode(1, steps=6)
    records = list(records_of(recorded))
    assert [record.camera for record in records] == ["agentview", "wrist"] * 2
    assert {record.goal for record in records} == {GOALS[1]}
    assert np.array_equal(records[2].label, recorded.labels["agentview"][EVERY])
    assert np.array_equal(records[3].image, recorded.images["wrist"][EVERY])


def test_no_episode_is_both_learned_from_and_held_out(tmp_path):
    store = write_demonstrations(tmp_path / "store", episodes=12)
    write_frames([Selection(store, 12)], root=tmp_path / "frames")
    frames = MaskFrameStore(tmp_path / "frames")
    learned, held_out = (frames.load(shards=shards) for shards in split_shards(SHARDS))
    assert len(learned) + len(held_out) == 12 * 2 * 2
    both = {image.tobytes() for image in learned.images} & {
        image.tobytes() for image in held_out.images
    }
    assert not both


def test_a_head_is_trained_and_can_be_loaded(tmp_path):
    store = write_demonstrations(tmp_path / "store", episodes=SHARDS)
    made = train_own_head(
        head_training(shards=SHARDS),
        demonstrations=(Selection(store, SHARDS),),
        directory=tmp_path / "head",
    )
    assert Head.load(made).vocabulary


def test_too_few_demonstrations_are_refused(tmp_path):
    store = write_demonstrations(tmp_path / "store", episodes=3)
    with pytest.raises(InputError, match="got 3 demonstrations"):
        write_frames([Selection(store, 3)], root=tmp_path / "frames")
