"""The shipped reader on looks that it has not seen: far above chance."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.scene_looks import SceneLookStore
from robot.experiment.region_outlines import box_masks
from robot.experiment.region_reading import attribute_accuracy, relation_f1
from robot.experiment.region_scenes import read_scenes
from robot.perception.regions.reader import RegionReader
from robot.rollout.region_looks import make_region_looks


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("looks")
    make_region_looks(
        root=root, scenes={"clean": 1.0}, seed=404, held_out=False, looks_per_shard=12
    )(0)
    return read_scenes(RegionReader.load("tabletop"), SceneLookStore(root).load())


def test_it_reads_what_things_are_and_how_they_lie(scenes):
    seen = attribute_accuracy(scenes)["seen"]
    assert seen["names"] > 0.5 and seen["colours"] > 0.7  # chance: 1 of 15, 1 of 12
    assert relation_f1(scenes)["seen"]["left"] > 0.8


def test_it_draws_masks_better_than_a_filled_box(scenes):
    masks = box_masks(RegionReader.load("tabletop"), scenes)
    assert masks["miou"] > masks["filled_box_miou"] + 0.08


def test_it_tells_true_phrases_from_false_ones(scenes):
    reader = RegionReader.load("tabletop")
    true, false = [], []
    for scene in scenes[:8]:
        for k, region in enumerate(scene.regions):
            if region.thing is None or region.part != "whole" or not region.words["colours"]:
                continue
            colour, name = region.words["colours"], region.words["names"]
            other = "blue" if colour != "blue" else "red"
            chances = reader.agreement(scene.look, [f"{colour} {name}", f"{other} {name}"])[k]
            true.append(chances[0])
            false.append(chances[1])
    assert np.mean(true) > np.mean(false) + 0.4
