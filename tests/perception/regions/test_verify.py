"""Masks are asked about before anything moves: a verifier that knows nothing but red."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from robot.agent import Patience
from robot.language import LanguageEncoder
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.verify import (
    CROP_PX,
    VerifiedMasks,
    Verifier,
    cutout,
    mean_words,
    phrase_of,
    verified_masks,
)
from robot.perception.sources import NoMask, nothing_of
from robot.types import Frame, Goal, InputError, Mask, MaskStatus, Region
from tests.perception.regions.test_follow import (
    BLUE,
    READER,
    RED,
    SIDE,
    NearestOfItsColour,
    frames,
    where,
)

GOAL = Goal("pick up the red cube")


class SaysRed(Verifier):
    """Says yes where most of what is cut out under the mask is red."""

    def forward(self, cutouts, words):
        inside = cutouts[:, 3:].float() / 255
        red, blue = (
            (cutouts[:, k : k + 1] * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))
            for k in (0, 2)
        )
        return (red - blue) / 10


class Shows:
    """A mask source that masks the square at a place."""

    def __init__(self, place: tuple[int, int] | None) -> None:
        self.place = place

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        probability = [np.zeros((3, *frame.image.shape[:2]), np.float32) for frame in frames]
        if self.place is not None:
            x, y = self.place
            for roles in probability:
                roles[0, y : y + SIDE, x : x + SIDE] = 1
        mask = nothing_of(frames)
        found = (MaskStatus.FOUND,) * len(frames)
        return replace(mask, probability=tuple(probability), status=found, sentence=None)


def verified(source: Shows) -> VerifiedMasks:
    regions = RegionMasks(source, NearestOfItsColour(), reader=READER)
    return VerifiedMasks(regions, SaysRed(vocabulary="tabletop"), language=LanguageEncoder())


def test_a_mask_of_what_the_goal_names_passes():
    mask = verified(Shows((2, 4)))(frames((RED, 2, 4), (BLUE, 20, 20)), GOAL)
    assert mask.verified is True and where(mask, 0) == (2, 4)
    assert mask.status[0] is MaskStatus.FOUND


def test_a_mask_of_something_else_is_emptied_and_the_agent_waits():
    mask = verified(Shows((20, 20)))(frames((RED, 2, 4), (BLUE, 20, 20)), GOAL)
    assert mask.verified is False and where(mask, 0) is None
    assert mask.status[0] is MaskStatus.UNCERTAIN
    patience = Patience(looks_again=0)
    assert patience.waits(mask, goal=GOAL)
    assert not patience.waits(replace(mask, verified=None), goal=GOAL)


def test_what_was_verified_is_found_again_where_a_later_mask_is_wrong():
    source = Shows((2, 4))
    masks = verified(source)
    masks(frames((RED, 2, 4), (BLUE, 20, 20)), GOAL)
    source.place = (20, 20)
    mask = masks(frames((RED, 5, 6), (BLUE, 20, 20), time_s=0.4), GOAL)
    assert mask.verified is True and where(mask, 0) == (5, 6)
    another = masks(frames((RED, 5, 6), (BLUE, 20, 20), time_s=0.0), GOAL)
    assert another.verified is False  # the clock went back: nothing of that episode is known


def test_what_lies_where_the_verified_thing_must_be_is_it_however_it_looks():
    source = Shows((2, 4))
    masks = verified(source)
    masks(frames((RED, 2, 4), (BLUE, 20, 20)), GOAL)
    masks.yes_above = 1.1  # from now on the verifier says no to everything
    source.place = (5, 6)
    mask = masks(frames((RED, 5, 6), (BLUE, 20, 20), time_s=0.4), GOAL)
    assert mask.verified is True and where(mask, 0) == (5, 6)
    source.place = (20, 20)
    assert masks(frames((RED, 5, 6), (BLUE, 20, 20), time_s=0.8), GOAL).verified is False


@pytest.mark.parametrize("place", [None, (40, 4)])
def test_a_mask_that_shows_next_to_nothing_is_not_asked_about(place):
    assert verified(Shows(place))(frames((RED, 2, 4)), GOAL).verified is None


def test_only_names_are_asked_for():
    region = (Region("agentview", box=(2, 4, 8, 10)),)
    for text, phrase in (
        ("pick up <region1>", None),
        ("pick up the red cup <region1>", "red cup"),
    ):
        assert phrase_of(Goal(text, region), READER) == phrase
    assert phrase_of(Goal("kindly hoist the crimson mug"), READER) == "red cup"
    assert phrase_of(Goal("pick up the cube"), READER) is None  # any of four
    masks = verified(Shows((20, 20)))(frames((RED, 2, 4)), Goal("pick up <region1>", region))
    assert masks.verified is None and where(masks, 0) == (2, 4)


def test_a_cutout_is_the_square_around_a_mask():
    image, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool)
    mask[10:20, 50:60] = True  # at the border: what lies beyond is black
    image[mask] = (200, 10, 30)
    square = cutout(image, mask)
    assert square.shape == (4, CROP_PX, CROP_PX)
    middle = CROP_PX // 2
    assert square[:, middle, middle].tolist() == [200, 10, 30, 255]
    assert square[:, 0, 0].tolist() == [0, 0, 0, 0]


def test_a_source_whose_words_the_verifier_does_not_know_stays_as_it_is():
    source = RegionMasks(NoMask(), NearestOfItsColour(), reader=READER)
    assert verified_masks(source, language=LanguageEncoder()) is source


def test_the_shipped_verifier_tells_colours_of_a_cube_and_a_missing_one_is_an_error():
    verifier, language = Verifier.load("tabletop"), LanguageEncoder()
    image, mask = np.full((64, 64, 3), 200, np.uint8), np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    image[mask] = (200, 20, 20)
    cutouts = torch.from_numpy(np.stack([cutout(image, mask)] * 2))
    red, blue = verifier(cutouts, mean_words(language, ["red cube", "blue cube"])).tolist()
    assert red > blue
    with pytest.raises(InputError, match=r"tools/train_verifier\.py"):
        Verifier.load("nowhere")


def test_one_frame_is_enough():
    scene = [Frame("agentview", frames((RED, 2, 4))[0].image)]
    assert verified(Shows((2, 4)))(scene, GOAL).verified is True
