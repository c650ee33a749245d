"""What a shard says of itself."""

from __future__ import annotations

import json

import pytest

from robot.rollout import generate
from robot.rollout.generate import Engine, Staged, make_shards, shard_path


@pytest.fixture
def one_look():
    tasks = (Staged("mujoco", "pick", "clean"),)
    return Engine(
        tasks=tasks,
        episodes=1,
        looks=1,
        per_call=1,
        image_size=64,
        seed=3,
        moments="staged",
        generators=("count_object",),
    )


def test_what_the_verifier_disagrees_with_is_counted_in_the_shards_file(
    one_look, tmp_path, monkeypatch
):
    monkeypatch.setattr(generate, "_wrong", lambda made, raws: "another answer")
    shard = make_shards(one_look, root=tmp_path)(0)
    written = json.loads(shard_path(tmp_path, 0).read_text())
    assert shard.records > 0
    assert written["disagreements"] == {"count_object: another answer": shard.records}
