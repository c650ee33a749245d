"""Looks at scenes: what is written is read, and identities hold through a sequence."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.scene_looks import FIRST_OBJECT, SceneLook, SceneLookStore, SeenObject
from robot.types import InputError


def a_look(step: int) -> SceneLook:
    rng = np.random.default_rng(step)
    cup = SeenObject(
        body="cup_0",
        shape="cup",
        colour="red",
        rgb=(0.8, 0.1, 0.1),
        radius_m=0.032,
        height_m=0.066,
        position_m=(0.1, 0.0, 0.8 + step),
        quaternion=(1.0, 0.0, 0.0, 0.0),
        role="target",
    )
    return SceneLook(
        images=rng.integers(0, 256, (2, 16, 16, 3), np.uint8),
        instances=rng.integers(0, 3, (2, 16, 16), np.uint8),
        parts=rng.integers(0, 2, (2, 16, 16), np.uint8),
        objects=(cup,),
        cameras=("agentview", "wrist"),
        scene="clean",
        moment="home",
        sequence=7,
        step=step,
    )


def test_looks_are_read_as_they_were_written(tmp_path):
    store, written = SceneLookStore(tmp_path), [a_look(0), a_look(1), a_look(2)]
    store.append_shard(0, written[:2])
    store.append_shard(1, written[2:])
    looks = store.load()
    assert len(looks) == 3 and looks.cameras == ("agentview", "wrist")
    assert list(looks.steps) == [0, 1, 2] and list(looks.sequences) == [7, 7, 7]
    for name in ("images", "instances", "parts"):
        assert (getattr(looks, name) == np.stack([getattr(w, name) for w in written])).all()
    assert looks.objects == tuple(w.objects for w in written)
    assert (looks.instances == FIRST_OBJECT).any()


def test_a_shard_is_written_once_and_none_is_an_error(tmp_path):
    store = SceneLookStore(tmp_path)
    with pytest.raises(InputError, match="no shards of looks"):
        store.load()
    store.append_shard(0, [a_look(0)])
    with pytest.raises(InputError, match="got shard 0, expected one that"):
        store.append_shard(0, [a_look(0)])
