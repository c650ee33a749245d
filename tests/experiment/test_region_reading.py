"""Figures of a region reader, on one that says what it is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from robot.experiment.region_outlines import box_masks, everything_recall
from robot.experiment.region_questions import yes_no
from robot.experiment.region_reading import (
    attribute_accuracy,
    crop_accuracy,
    majority_accuracy,
    relation_f1,
    sentence_scores,
    word_iou,
)
from robot.experiment.region_scenes import read_scenes
from robot.experiment.region_speed import measure_speed
from robot.language import LanguageEncoder
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.reader import RegionReader
from tests.train.test_region_reader import SMALL, looks  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return RegionReader(RegionNetwork(**SMALL), language=LanguageEncoder.hashed())


@pytest.fixture(scope="module")
def scenes(reader, looks):  # noqa: F811
    return read_scenes(reader, looks)


def knowing(scenes):
    """Return the scenes as a reader without fault reads them."""
    known = []
    for scene in scenes:
        readings = tuple(
            replace(reading, words={**reading.words, **{k: v for k, v in r.words.items() if v}})
            for reading, r in zip(scene.look.readings, scene.regions, strict=True)
        )
        relations = torch.from_numpy(np.nan_to_num(scene.relations))
        known.append(
            replace(scene, look=replace(scene.look, readings=readings, relations=relations))
        )
    return known


def test_who_knows_all_gets_all(scenes):
    known = knowing(scenes)
    accuracy = attribute_accuracy(known)
    assert accuracy["seen"] == dict.fromkeys(accuracy["seen"], 1.0)
    assert set(accuracy["seen"]) >= {"names", "colours", "sizes", "states"}
    f1 = relation_f1(known)["seen"]
    assert f1["left"] == f1["right"] == f1["part"] == 1.0


def test_who_knows_nothing_gets_what_chance_gives(scenes):
    accuracy = attribute_accuracy(scenes)["seen"]
    assert accuracy["names"] < 1.0
    assert majority_accuracy(scenes)["seen"]["names"] == 0.5  # a cup and a pan


def test_words_of_two_sentences():
    assert word_iou("a red cup", "a red mug") == 0.5
    assert word_iou("red cup", "Red cup.") == 1.0


def test_captions_are_compared_as_sets_of_words_and_as_meanings(scenes):
    same = sentence_scores(
        knowing(scenes),
        lambda one, other: np.array([float(a == b) for a, b in zip(one, other, strict=True)]),
    )
    assert same["seen"]["label_s_iou"] <= 1.0 and "caption_ss" in same["seen"]


def test_half_of_the_questions_are_true(reader, scenes):
    asked = yes_no(reader, scenes, seed=0)
    assert set(asked) == {"random", "popular", "adversarial"}
    for figures in asked.values():
        assert 0.0 <= figures["accuracy"] <= 1.0
        said_yes = figures["yes_rate"]
        # who always says yes, or always no, is right half of the time
        assert said_yes not in (0.0, 1.0) or figures["accuracy"] == 0.5


def test_masks_crops_and_everything_are_measured(reader, scenes):
    masks = box_masks(reader, scenes)
    assert 0.0 <= masks["miou"] <= 1.0
    assert masks["filled_box_miou"] == 1.0  # the things of these looks are rectangles
    assert set(crop_accuracy(reader, scenes)) == {"seen", "held_out", "parts"}
    found = everything_recall(reader, scenes)
    assert {"recall_part", "recall_object", "recall_scene", "ar_50"} <= set(found)


def test_reading_many_at_once_is_what_reading_one_is(reader):
    speed = measure_speed(reader, regions=4)
    assert speed["difference"] < 1e-5
    assert speed["regions"] == 4 and min(speed["together_ms"], speed["one_by_one_ms"]) > 0
