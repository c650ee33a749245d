from dataclasses import replace

import numpy as np
import pytest
import torch

from robot.batch import LanguageTokens
from robot.data.mask_batches import mask_batch
from robot.data.mask_frames import MaskFrameStore, MaskRecord
from robot.types import InputError


def _record(number: int, *, goal: str = "push", present: bool = True) -> MaskRecord:
    rng = np.random.default_rng(number)
    return MaskRecord(
        image=rng.integers(0, 256, (6, 8, 3), dtype=np.uint8),
        label=rng.integers(0, 4, (6, 8), dtype=np.uint8),
        goal=goal,
        target_visible=present,
        destination_visible=False,
        camera="wrist",
        scene="clutter",
        seed=number,
    )


@pytest.fixture
def store(tmp_path) -> MaskFrameStore:
    """Shard 0: frames 0 and 1, shard 2: frame 2, whose target is absent."""
    store = MaskFrameStore(tmp_path)
    store.append_shard(2, [_record(2, goal="lift", present=False)])
    store.append_shard(0, [_record(0), _record(1, goal="lift")])
    return store


def test_records_read_back_in_the_order_of_the_shards(store):
    frames = MaskFrameStore(store.root).load()
    for number in range(3):
        np.testing.assert_array_equal(
            frames.images[frames.image_ids[number]], _record(number).image
        )
        np.testing.assert_array_equal(frames.labels[number], _record(number).label)
    assert frames.images.dtype == frames.labels.dtype == np.uint8
    assert frames.presence.tolist() == [[True, False], [True, False], [False, False]]
    assert [frames.goals[goal] for goal in frames.goal_ids] == ["push", "lift", "lift"]
    assert (frames.cameras, frames.scenes, frames.seeds.tolist()) == (
        ("wrist",) * 3,
        ("clutter",) * 3,
        [0, 1, 2],
    )
    assert len(frames) == 3


def test_goals_of_one_picture_share_it_on_disk_and_in_memory(store):
    one, two, other = _record(5), _record(6), _record(7)
    store.append_shard(1, [one, other, replace(two, image=one.image)])
    frames = store.load()
    assert len(frames) == 6 and len(frames.images) == 5
    for k, wanted in zip((2, 3, 4), (one, other, one), strict=True):
        np.testing.assert_array_equal(frames.images[frames.image_ids[k]], wanted.image)
    np.testing.assert_array_equal(frames.labels[4], two.label)


def test_selected_records_keep_their_picture_and_goal(store):
    chosen = store.load().select(np.array([2, 0]))
    assert [chosen.goals[g] for g in chosen.goal_ids] == [
        "lift",
        "push",
    ] and chosen.seeds.tolist() == [2, 0]
    np.testing.assert_array_equal(chosen.images[chosen.image_ids[0]], _record(2).image)


def test_missing_shards_are_named(store):
    assert store.shards() == [0, 2]
    assert store.missing(range(4)) == [1, 3]


def test_chosen_shards_are_loaded_with_progress(store):
    heard = []
    frames = store.load(shards=[2], progress=lambda *done: heard.append(done))
    assert (frames.goals, heard) == (("lift",), [(1, 1)])


def test_a_batch_is_channels_first_with_the_tokens_of_its_goals(store):
    tokens = torch.tensor([5.0, 7.0])[:, None, None].expand(2, 3, 384)
    batch = mask_batch(
        store.load(),
        np.array([2, 0]),
        language=LanguageTokens(tokens=tokens, valid=torch.ones(2, 3).bool()),
    )
    assert batch.frames.shape == (2, 3, 6, 8)
    np.testing.assert_array_equal(batch.frames[0].permute(1, 2, 0).numpy(), _record(2).image)
    assert batch.language.tokens[:, 0, 0].tolist() == [7.0, 5.0]
    assert batch.presence.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_a_taken_shard_is_refused(store):
    with pytest.raises(InputError, match="got shard 0"):
        store.append_shard(0, [_record(9)])


def test_images_of_two_sizes_in_a_shard_are_refused(store):
    small = replace(
        _record(1), image=np.zeros((2, 2, 3), np.uint8), label=np.zeros((2, 2), np.uint8)
    )
    with pytest.raises(InputError, match="one image size"):
        store.append_shard(1, [_record(0), small])


def test_shards_of_two_sizes_are_refused_on_loading(store):
    small = replace(
        _record(1), image=np.zeros((2, 2, 3), np.uint8), label=np.zeros((2, 2), np.uint8)
    )
    store.append_shard(1, [small])
    with pytest.raises(InputError, match="in shard 1.*one image size"):
        store.load()


def test_a_label_that_is_no_role_is_refused(store):
    with pytest.raises(InputError, match="got label 9"):
        store.append_shard(1, [replace(_record(0), label=np.full((6, 8), 9, np.uint8))])


def test_a_corrupt_shard_is_named_with_a_remedy(store):
    path = store.root / "shard-00002.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="shard-00002.parquet.*generate shard 2 again"):
        store.load()


def test_a_stale_temporary_is_ignored_and_removed(store):
    stale = store.root / ".shard-00001.parquet.0123.tmp"
    stale.write_bytes(b"half")
    assert MaskFrameStore(store.root).shards() == [0, 2]
    assert not stale.exists()
