"""Staged looks of one scene: every object keeps its number, and its pixels are where it stands."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.scene_looks import FIRST_OBJECT, GRIPPER, SceneLookStore
from robot.rollout.scene_looks import make_scene_looks


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    root = tmp_path_factory.mktemp("looks")
    work = make_scene_looks(
        root=root,
        scenes={"randomised_duplicates": 1.0},
        seed=1,
        image_size=64,
        sequences_per_shard=6,
    )
    assert work(0) == 18
    return SceneLookStore(root).load()


def test_a_sequence_is_three_looks_at_the_same_objects(looks):
    assert list(looks.steps) == [0, 1, 2] * 6
    for k in range(0, 18, 3):
        bodies = [{o.body for o in objects} for objects in looks.objects[k : k + 3]]
        assert bodies[0] == bodies[1] >= bodies[2]  # of the last look one may have been taken


def test_every_object_that_stands_free_is_seen_from_above(looks):
    seen = [
        (looks.instances[k, 0] == FIRST_OBJECT + number).any()
        for k in range(0, 18, 3)
        if looks.moments[k] == "home"
        for number, _ in enumerate(looks.objects[k])
    ]
    assert len(seen) > 20 and np.mean(seen) > 0.95


def test_the_hand_is_seen_by_its_own_camera_and_parts_belong_to_objects(looks):
    assert all((instances[1] == GRIPPER).any() for instances in looks.instances)
    assert ((looks.parts > 0) == (looks.instances >= FIRST_OBJECT)).all()


def test_copies_are_there_and_are_named(looks):
    for objects in looks.objects[::3]:
        target = next(o for o in objects if o.role == "target")
        assert target.colour in ("red", "green", "blue", "yellow")
        copies = [o for o in objects if (o.shape, o.rgb) == (target.shape, target.rgb)]
        assert len(copies) >= 1
