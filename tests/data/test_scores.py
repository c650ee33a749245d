"""Scores beside the demonstrations: read back as written, several side by side, the episodes' own
files untouched.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from robot.data.scores import WindowScores, read_scores, scores_path, write_scores
from robot.types import InputError
from tests.experiment.toy import SCORED_BY


def footer(root: Path, name: str) -> dict[str, object]:
    """Return what a file of scores records about its discriminator."""
    return json.loads(pq.read_schema(scores_path(root, name)).metadata[b"robot.scores"])


def scored(*values: float) -> WindowScores:
    scores = np.array(values, np.float32)
    return WindowScores(scores=scores, weights=2 * scores)


def test_scores_are_read_back_as_they_were_written(tmp_path):
    write_scores(tmp_path, "one", {7: scored(0.1, 0.2), 3: scored(0.3)}, about=SCORED_BY)
    found = read_scores(tmp_path, "one")
    assert list(found) == [3, 7]
    np.testing.assert_array_equal(found[7].scores, np.array([0.1, 0.2], np.float32))
    np.testing.assert_array_equal(found[3].weights, np.array([0.6], np.float32))
    assert footer(tmp_path, "one") == asdict(SCORED_BY) | {"demonstrations": ["trusted", "machine"]}


def test_scores_lie_side_by_side_and_new_ones_replace_their_namesakes(tmp_path):
    write_scores(tmp_path, "one", {0: scored(0.1)}, about=SCORED_BY)
    write_scores(tmp_path, "two", {0: scored(0.2)}, about=SCORED_BY)
    write_scores(tmp_path, "one", {0: scored(0.3)}, about=SCORED_BY)
    assert [
        float(read_scores(tmp_path, name)[0].scores[0]) for name in ("one", "two")
    ] == pytest.approx([0.3, 0.2])


def test_scores_that_are_missing_are_named_with_those_that_exist(tmp_path):
    write_scores(tmp_path, "one", {0: scored(0.1)}, about=SCORED_BY)
    with pytest.raises(InputError, match="got scores 'two', expected one of one in"):
        read_scores(tmp_path, "two")
    with pytest.raises(InputError, match="got no scores to write"):
        write_scores(tmp_path, "none", {}, about=SCORED_BY)


def test_a_truncated_file_is_named_with_a_remedy(tmp_path):
    write_scores(tmp_path, "one", {0: scored(0.1)}, about=SCORED_BY)
    path = scores_path(tmp_path, "one")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        InputError, match="one.parquet.*delete it and score the demonstrations again"
    ):
        read_scores(tmp_path, "one")
