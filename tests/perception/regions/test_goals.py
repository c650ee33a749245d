"""A goal's text and its regions: which is which, and what is wrong with those that do not fit."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from robot.perception.regions.goals import check_regions, has_regions, read_goal, regions_of
from robot.types import Frame, Goal, InputError, Region
from robot.words.items import Thing
from robot.words.reader import GoalReader

READER = GoalReader.of("tabletop")
FRAMES = tuple(Frame(name, np.zeros((48, 64, 3), np.uint8)) for name in ("agentview", "wrist"))


def box(index: int, camera: str = "agentview") -> Region:
    return Region(camera, box=(10.0 * index, 4.0, 10.0 * index + 8.0, 12.0), index=index)


@pytest.mark.parametrize(
    "text, target, destination, sentence",
    [
        ("pick up <region1>", 1, None, "pick up the red cube"),
        ("put <region1> on <region2>", 1, 2, "put the red cube on the red plate"),
        ("put <region2> on <region1>", 2, 1, "put the red cube on the red plate"),
        ("please move region 2 onto Region 1", 2, 1, "put the red cube on the red plate"),
        ("put the red cup on <region1>", None, 1, "put the red cup on the red plate"),
        ("put <region1> on the green plate", 1, None, "put the red cube on the green plate"),
        ("pick up the red cup <region1>", 1, None, "pick up the red cup"),
        ("pick up <region1>, the crimson mug", 1, None, "pick up the red cup"),
        (
            "put the red cup (region 1) in the pot <region2>",
            1,
            2,
            "put the red cup in the black pot",
        ),
        ("take <region1>. Put region 1 in <region2>", 1, 2, "put the red cube on the red plate"),
        ("not region 1, region 2", 2, None, "pick up the red cube"),
    ],
)
def test_a_tag_is_bound_to_the_region_of_its_number(text, target, destination, sentence):
    indices = (1, 2) if "2" in text else (1,)
    read = read_goal(Goal(text, tuple(box(k) for k in indices)), READER)
    assert (read.target, read.destination, read.sentences) == (target, destination, (sentence,))


def test_words_that_describe_a_region_are_its_name():
    read = read_goal(Goal("put the red cup <region1> in <region2>", (box(1), box(2))), READER)
    assert read.target_words == Thing(noun="cup", colour="red")
    assert read.destination_words is None and not read.by_words


def test_words_that_leave_the_colour_open_stand_for_every_object():
    read = read_goal(Goal("put a cup on <region1>", (box(1),)), READER)
    colours = ("red", "green", "blue", "yellow")
    assert read.sentences == tuple(f"put the {c} cup on the red plate" for c in colours)
    assert read.by_words


@pytest.mark.parametrize("text", ["don't touch <region1>", "what is <region1>?"])
def test_a_sentence_without_a_request_has_a_reason_and_no_sentences(text):
    read = read_goal(Goal(text, (box(1),)), READER)
    assert not read.sentences and read.reason


def test_one_region_may_be_given_in_every_camera():
    goal = Goal("pick up <region1>", (box(1), box(1, "wrist")))
    assert goal.indices == (1,)
    assert set(regions_of(goal, 1)) == {"agentview", "wrist"}
    assert read_goal(goal, READER).target == 1


def test_a_goal_has_regions_where_it_has_some_or_names_some():
    assert has_regions(Goal("pick up <region1>"))
    assert has_regions(Goal("pick it up", (box(1),)))
    assert not has_regions(Goal("pick up the red cup"))


@pytest.mark.parametrize(
    "text, indices, said",
    [
        ("put <region1> on <region2>", (1,), "got 1 regions for the 2"),
        ("pick up the red cup", (1,), "got 1 regions for the 0"),
        ("pick up <region1>", (), "got 0 regions for the 1"),
        ("pick up <region3>", (1,), "got <region3> in the goal, expected one of .*: 1"),
        ("pick up <region0>", (), "expected 1 to 9|got 0 regions"),
    ],
)
def test_text_and_regions_that_do_not_belong_together_are_explained(text, indices, said):
    with pytest.raises(InputError, match=said):
        read_goal(Goal(text, tuple(box(k) for k in indices)), READER)


@pytest.mark.parametrize(
    "region, said",
    [
        (Region("side", box=(0, 0, 4, 4)), "camera 'side', expected one of agentview, wrist"),
        (Region("agentview", box=(64, 0, 70, 9)), "outside of agentview's frame of 64 x 48"),
        (Region("wrist", click=(3.0, 48.0)), "outside of wrist's frame"),
        (Region("wrist", mask=np.ones((9, 9), bool)), r"a mask \(9, 9\) .* expected \(48, 64\)"),
    ],
)
def test_a_region_that_does_not_fit_the_frames_is_explained(region, said):
    with pytest.raises(InputError, match=said):
        check_regions(Goal("pick up <region1>", (region,)), FRAMES)


def test_a_box_is_inside_as_long_as_one_pixel_of_it_is():
    for inside, box in ((True, (-3.0, 40.0, 1.0, 60.0)), (False, (-3.0, 40.0, 0.0, 60.0))):
        expected = nullcontext() if inside else pytest.raises(InputError, match="outside")
        with expected:
            check_regions(Goal("pick up <region1>", (Region("wrist", box=box),)), FRAMES)


@pytest.mark.parametrize(
    "values, said",
    [
        ({}, "without a place"),
        ({"box": (5.0, 1.0, 5.0, 4.0)}, "expected .* x0 < x1"),
        ({"box": (0.0, 1.0, float("nan"), 4.0)}, "expected .* x0 < x1"),
        ({"click": (float("inf"), 1.0)}, "expected .* in pixels"),
        ({"mask": np.zeros((4, 4), bool)}, "at least one pixel"),
        ({"box": (0.0, 0.0, 1.0, 1.0), "index": 0}, "expected 1 or more"),
    ],
)
def test_a_malformed_region_is_explained(values, said):
    with pytest.raises(InputError, match=said):
        Region("agentview", **values)


def test_two_regions_of_one_index_in_one_camera_are_two_things():
    with pytest.raises(InputError, match="region 1 twice in agentview.*index=2"):
        Goal("pick up <region1>", (box(1), Region("agentview", click=(1.0, 1.0))))


def test_bounds_of_a_mask_and_of_a_click_are_the_smallest_box():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 7:9] = True
    assert Region("wrist", mask=mask).bounds == (7.0, 2.0, 9.0, 5.0)
    assert Region("wrist", click=(3.7, 2.2)).bounds == (3.0, 2.0, 4.0, 3.0)


def test_goals_are_equal_where_their_regions_are():
    mask = np.eye(3, dtype=bool)
    goal, same = (Goal("pick up <region1>", (Region("wrist", mask=mask.copy()),)) for _ in "ab")
    assert goal == same and hash(goal) == hash(same)
    assert goal != Goal("pick up <region1>", (Region("wrist", mask=~mask),))
