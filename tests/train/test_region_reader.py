"""Batches of the region reader: what is true stays true when a frame is mirrored, cut or jittered;
and a few steps learn something.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from robot.data.scene_looks import SceneLooks
from robot.language import LanguageEncoder
from robot.perception.regions.pool import boxes_of
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.sizes import ReaderSizes
from robot.perception.regions.vocabulary import UNKNOWN, vocabulary
from robot.train.options import Training
from robot.train.region_crops import SIDE, cropped
from robot.train.region_hues import in_other_hues
from robot.train.region_phrases import all_phrases, false_phrase, is_true, true_phrase
from robot.train.region_reader import (
    ReaderTraining,
    encode_phrases,
    region_batches,
    sample_of,
    train_region_reader,
)
from tests.perception.regions.test_truth import CUP, PAN

SMALL = ReaderSizes(widths=(8, 8, 16, 16), channels=8, dim=16, heads=2, depth=1, word_dim=8)


@pytest.fixture(scope="module")
def looks() -> SceneLooks:
    """A red cup on the left and a yellow pan on the right of a grey table, in four looks."""
    objects = (CUP, replace(PAN, colour="yellow"))
    instances, parts = np.zeros((64, 64), np.uint8), np.ones((64, 64), np.uint8)
    instances[30:42, 8:20], instances[28:44, 36:56] = 2, 3
    parts[28:44, 50:56] = 2
    image = np.full((64, 64, 3), 120, np.uint8)
    image[instances == 2], image[instances == 3] = (200, 20, 20), (230, 200, 30)
    return SceneLooks(
        images=np.stack([image[None]] * 4),
        instances=np.stack([instances[None]] * 4),
        parts=np.stack([parts[None]] * 4),
        objects=(objects,) * 4,
        cameras=("agentview",),
        scenes=("clean",) * 4,
        moments=("staged",) * 4,
        sequences=np.arange(4),
        steps=np.zeros(4, np.int64),
    )


def test_a_mirrored_frame_has_left_and_right_in_their_new_places(looks):
    straight, turned = (sample_of(looks, 0, 0, flipped=flipped) for flipped in (False, True))
    names = list(vocabulary().relations)
    left, right = names.index("left"), names.index("right")
    assert straight.relations[0, 1, left] == 1 and straight.relations[0, 1, right] == 0
    assert turned.relations[0, 1, left] == 0 and turned.relations[0, 1, right] == 1
    assert np.allclose(turned.offsets[0, 1], straight.offsets[0, 1] * [1, -1, 1])
    assert np.array_equal(turned.frame, straight.frame[:, ::-1])
    cups = [next(r for r in s.regions if r.words["names"] == "cup") for s in (straight, turned)]
    assert np.array_equal(cups[0].mask, cups[1].mask[:, ::-1])


def test_a_batch_binds_words_masks_and_boxes(looks):
    """The pixels under each mask have the colour that the label says."""
    phrases = encode_phrases(LanguageEncoder.hashed())
    batch = next(region_batches(looks, phrases, batch_size=3, seed=0)(0))
    colours = vocabulary().words("colours")
    red, yellow = colours.index("red"), colours.index("yellow")
    checked = 0
    for b, r in np.argwhere(batch.regions.valid.numpy()):
        label = int(batch.attributes["colours"][b, r])
        if label == UNKNOWN:
            continue
        pixels = batch.frames[b][:, batch.true_masks[b, r] > 0.5].float().mean(dim=1)
        assert {red: pixels[1] < 90, yellow: pixels[1] > 120}[label]
        box, tight = batch.regions.boxes[b, r], boxes_of(batch.true_masks)[b, r]
        assert (box - tight).abs().max() <= 0.08 * 20 + 1e-4
        checked += 1
    assert checked >= 6


def test_other_hues_change_the_colour_keep_the_light_and_say_nothing_of_colours(looks):
    sample = sample_of(looks, 0, 0)
    red = sample.frame[sample.regions[0].mask].astype(float)
    rng = np.random.default_rng(0)
    for _ in range(20):
        frame, regions = in_other_hues(sample.frame, sample.regions, rng=rng)
        seen = frame[regions[0].mask].astype(float)
        assert abs(seen - red).max() > 40
        assert abs(frame[0, 0].astype(int) - sample.frame[0, 0]).max() <= 1  # grey stays grey
        assert regions[0].words["names"] == "cup" and regions[0].words["colours"] is None


def test_frames_in_other_hues_ask_for_no_colour(looks):
    phrases = encode_phrases(LanguageEncoder.hashed())
    batch = next(region_batches(looks, phrases, batch_size=4, seed=0, hue_share=1.0)(0))
    assert (batch.attributes["colours"] == UNKNOWN).all()
    assert (batch.attributes["names"][batch.regions.valid] != UNKNOWN).all()
    true = [all_phrases()[k] for k in batch.asked[..., 0][batch.asked[..., 0] != UNKNOWN].tolist()]
    assert true and all(phrase.colour is None for phrase in true)


def test_questions_are_half_true(looks):
    sample = sample_of(looks, 0, 0)
    rng = np.random.default_rng(0)
    for region in sample.regions:
        for _ in range(20):
            yes, no = true_phrase(region, rng=rng), false_phrase(region, sample.regions, rng=rng)
            assert yes is not None and no is not None
            assert is_true(all_phrases()[yes], region)
            assert is_true(all_phrases()[no], region) is False
            for drawn in (yes, no):
                phrase = all_phrases()[drawn]
                assert not (phrase.name and vocabulary().is_held_out(phrase.name, phrase.colour))


def test_a_crop_is_a_frame_of_its_own(looks):
    phrases = encode_phrases(LanguageEncoder.hashed())
    batch = next(region_batches(looks, phrases, batch_size=2, seed=0)(0))
    alone = cropped(batch)
    count = int(batch.regions.valid.sum())
    assert alone.frames.shape == (count, 3, SIDE, SIDE)
    names = batch.attributes["names"][batch.regions.valid]
    assert alone.attributes["names"].flatten().tolist() == names.tolist()


def test_a_few_steps_learn_and_the_checkpoint_reads(looks, tmp_path):
    losses: list[float] = []
    options = ReaderTraining(
        network=SMALL,
        training=Training(steps=12, learning_rate=3e-3, warmup_steps=1, log_every=1),
        batch_size=2,
        seed=0,
        hue_share=0.5,
    )
    file = train_region_reader(
        options,
        looks,
        directory=tmp_path,
        log=lambda _, values: losses.append(values["loss"]),
        language=LanguageEncoder.hashed(),
    )
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    reader = RegionReader.load(file, device="cpu")
    assert sum(p.numel() for p in reader.network.parameters()) < 100_000
    assert torch.isfinite(next(reader.network.parameters())).all()
    assert train_region_reader(options, looks, directory=tmp_path) == file  # done is done
