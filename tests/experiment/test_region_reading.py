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
from robot.perception.regions.sentences import caption_of, label_of
from robot.train.region_phrases import all_phrases, is_true
from tests.train.test_region_reader import SMALL, looks  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return RegionReader(RegionNetwork(SMALL), language=LanguageEncoder.hashed())


@pytest.fixture(scope="module")
def scenes(reader, looks):  # noqa: F811
    return read_scenes(reader, looks)


def with_words(scene, words_of):
    """Return a scene as it is read by who says these words of a region."""
    readings = []
    for reading, region in zip(scene.look.readings, scene.regions, strict=True):
        words = reading.words | words_of(region)
        texts = {"label": label_of(words), "caption": caption_of(words)}
        readings.append(replace(reading, words=words, **texts))
    return replace(scene, look=replace(scene.look, readings=tuple(readings)))


def knowing(scenes):
    """Return the scenes as a reader without fault reads them."""
    known = []
    for scene in scenes:
        read = with_words(scene, lambda region: {k: v or "" for k, v in region.words.items()})
        relations = torch.from_numpy(np.nan_to_num(scene.relations))
        known.append(replace(read, look=replace(read.look, relations=relations)))
    return known


def test_who_knows_all_gets_all(scenes):
    known = knowing(scenes)
    accuracy = attribute_accuracy(known)
    assert accuracy["seen"] == dict.fromkeys(accuracy["seen"], 1.0)
    assert set(accuracy["seen"]) >= {"names", "colours", "sizes", "states"}
    f1 = relation_f1(known)["seen"]
    assert f1["left"] == f1["right"] == f1["part"] == 1.0


def test_who_always_says_cup_gets_what_the_most_frequent_word_gets(scenes):
    always = [with_words(scene, lambda _: {"names": "cup"}) for scene in scenes]
    assert attribute_accuracy(always)["seen"]["names"] == 0.5  # a cup and a pan
    assert majority_accuracy(scenes)["seen"]["names"] == 0.5


def test_words_of_two_sentences():
    assert word_iou("a red cup", "a red mug") == 0.5
    assert word_iou("red cup", "Red cup.") == 1.0


def test_captions_are_compared_as_sets_of_words_and_as_meanings(scenes):
    def equal(one, other):
        return np.array([float(a == b) for a, b in zip(one, other, strict=True)])

    names = ("caption_s_iou", "caption_ss", "label_s_iou", "label_ss")
    same = sentence_scores(knowing(scenes), equal)
    assert same["seen"] == dict.fromkeys(names, 1.0)
    wrong = [with_words(scene, lambda _: {"colours": "blue"}) for scene in knowing(scenes)]
    other = sentence_scores(wrong, equal)["seen"]
    assert other["label_ss"] == 0.0
    assert other["label_s_iou"] == pytest.approx(1 / 3)  # "red cup" and "blue cup"


@pytest.mark.parametrize(
    ("says", "accuracy", "yes_rate"),
    [(lambda *_: True, 0.5, 1.0), (lambda *_: False, 0.5, 0.0), (is_true, 1.0, 0.5)],
)
def test_half_of_the_questions_are_true(reader, scenes, monkeypatch, says, accuracy, yes_rate):
    def agreement(look, texts):
        scene = next(scene for scene in scenes if scene.look is look)
        asked = [phrases[text] for text in texts]
        return np.array([[float(says(phrase, r)) for phrase in asked] for r in scene.regions])

    phrases = {phrase.text: phrase for phrase in all_phrases()}
    monkeypatch.setattr(reader, "agreement", agreement)
    asked = yes_no(reader, scenes, seed=0)
    assert set(asked) == {"random", "popular", "adversarial"}
    for figures in asked.values():
        assert (figures["accuracy"], figures["yes_rate"]) == (accuracy, yes_rate)


def test_masks_crops_and_everything_are_measured(reader, scenes, monkeypatch):
    masks = box_masks(reader, scenes)
    assert masks["filled_box_miou"] == 1.0  # the things of these looks are rectangles
    monkeypatch.setattr(reader, "masks_of", lambda frame, boxes: [left_half(*box) for box in boxes])
    assert box_masks(reader, scenes)["miou"] == 0.5
    assert set(crop_accuracy(reader, scenes)) == {"seen", "held_out", "parts"}
    found = everything_recall(reader, scenes)
    assert {"recall_part", "recall_object", "recall_scene", "ar_50"} <= set(found)


def left_half(x0, y0, x1, y1):
    mask = np.zeros((64, 64), bool)
    mask[int(y0) : int(y1), int(x0) : int(x0 + x1) // 2] = True
    return mask


def test_reading_many_at_once_is_what_reading_one_is(reader):
    speed = measure_speed(reader, regions=4)
    assert speed["difference"] < 1e-5
    assert speed["regions"] == 4 and min(speed["together_ms"], speed["one_by_one_ms"]) > 0
