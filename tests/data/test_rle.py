"""COCO's run-length text, against counts worked out by hand."""

import numpy as np
import pytest

from robot.data.rle import decode, encode
from robot.types import InputError


def mask_of(counts: list[int], *, height: int) -> np.ndarray:
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape((height, -1), order="F")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([1, 3], "13"),
        ([0, 4], "04"),  # starts with ones
        ([4], "4"),
        ([1, 2, 3, 2], "1230"),  # 2 - 2
        ([1, 2, 3, 1, 1], "123ON"),  # 1 - 2 = -1 is 11111, 1 - 3 = -2 is 11110
        ([20, 4], "d04"),  # 20 is 10100: another letter says that it is not negative
        ([100, 28], "T3l0"),  # 100 = 3 * 32 + 4, 28 is 11100
    ],
)
def test_counts_worked_out_by_hand(counts, text):
    mask = mask_of(counts, height=4 if sum(counts) % 4 == 0 else 1)
    assert encode(mask) == {"size": list(mask.shape), "counts": text}
    assert (decode(encode(mask)) == mask).all()


def test_runs_go_down_the_columns():
    assert encode(np.array([[False, True], [True, True]])) == {"size": [2, 2], "counts": "13"}
    assert encode(np.array([[False, True], [False, True]])) == {"size": [2, 2], "counts": "22"}


@pytest.mark.parametrize("density", [0.01, 0.5, 0.99])
def test_decode_undoes_encode(density):
    mask = np.random.default_rng(0).random((37, 53)) < density
    assert (decode(encode(mask)) == mask).all()


def test_runs_of_another_size_are_refused():
    with pytest.raises(InputError, match="got runs of 4 pixels for a mask of 3 x 2, expected 6"):
        decode({"size": [3, 2], "counts": "13"})
