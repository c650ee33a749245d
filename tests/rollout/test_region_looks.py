"""Looks for the region reader: which combinations they show, and what their part maps number."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.scene_looks import GRIPPER, NOTHING, SceneLookStore
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.scene import sample_scene
from robot.perception.regions.vocabulary import vocabulary
from robot.rollout.region_looks import (
    SURFACES,
    make_region_looks,
    repainted,
    with_something_inside,
)


def combinations(*, held_out: bool, scene: str = "randomised_duplicates"):
    for index in range(60):
        rng = np.random.default_rng(index)
        drawn = sample_scene(task="place_any", scene=scene, seed=5, index=index)
        for placement in repainted(drawn, held_out=held_out, rng=rng).placements:
            if placement.noun is not None:
                yield cat.body_names()[placement.body], placement.noun.colour


def test_no_scene_of_training_shows_a_combination_that_is_held_out():
    known = vocabulary()
    seen = set(combinations(held_out=False))
    assert len(seen) > 60 and not any(known.is_held_out(*pair) for pair in seen)


def test_scenes_to_measure_on_show_both():
    known = vocabulary()
    shown = [known.is_held_out(*pair) for pair in combinations(held_out=True)]
    assert 0.2 < np.mean(shown) < 0.6


def test_copies_of_a_thing_stay_alike():
    for index in range(20):
        drawn = sample_scene(task="pick", scene="duplicates", seed=5, index=index)
        scene = repainted(drawn, held_out=False, rng=np.random.default_rng(index))
        target = next(p for p in scene.placements if p.body == scene.target)
        shape = cat.body_names()[target.body]
        before = next(p for p in drawn.placements if p.body == scene.target)
        alike = [p.body for p in drawn.placements if p.colour == before.colour]
        copies = [p for p in scene.placements if p.body in alike]
        assert {p.colour for p in copies if cat.body_names()[p.body] == shape} == {target.colour}


def test_some_scenes_have_a_thing_in_a_receptacle():
    inside = 0
    for index in range(40):
        drawn = sample_scene(task="place_any", scene="clean", seed=5, index=index)
        scene = with_something_inside(drawn, rng=np.random.default_rng(index))
        moved = [p for p, q in zip(scene.placements, drawn.placements, strict=True) if p != q]
        assert len(moved) <= 1
        inside += len(moved)
    assert 8 <= inside <= 26


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    root = tmp_path_factory.mktemp("looks")
    work = make_region_looks(
        root=root,
        scenes={"randomised": 1.0},
        seed=3,
        held_out=True,
        looks_per_shard=3,
        image_size=64,
    )
    assert work(0) == 3
    return SceneLookStore(root).load()


def test_what_is_nothing_is_a_surface_and_the_gripper_has_fingers(looks):
    behind = looks.parts[looks.instances == NOTHING]
    assert set(np.unique(behind)) <= set(range(1, 1 + len(SURFACES)))
    assert (behind == 1 + SURFACES.index("table")).mean() > 0.3
    wrist = looks.cameras.index("wrist")
    hand = looks.parts[:, wrist][looks.instances[:, wrist] == GRIPPER]
    assert {2, 3} <= set(np.unique(hand))
