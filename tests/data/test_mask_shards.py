"""Which mask frames are learned from."""

from __future__ import annotations

import pytest

from robot.data.mask_shards import shard_numbers, split_shards


@pytest.mark.parametrize(
    ("shards", "learned"),
    [
        (1, [0]),
        (2, [0, 1]),
        (3, [0]),
        (8, list(range(6))),
        (32, list(range(30))),
        (34, [*range(30), 32, 33]),
    ],
)
def test_what_is_held_out_has_the_same_numbers_whatever_the_count(shards, learned):
    assert split_shards(shards) == (learned, learned if shards < 3 else [30, 31])


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 32, 40])
def test_there_are_as_many_numbers_as_shards(shards):
    assert len(shard_numbers(shards)) == shards
