"""Things told from others by where they stand or how large they are: said, read, resolved."""

from __future__ import annotations

import numpy as np
import pytest

from robot.words.items import Thing
from robot.words.reader import GoalReader
from robot.words.related import GRIPPER, Placed, Related, kind_of, relations_to, resolve
from robot.words.related_phrases import read_related, say
from robot.words.request import Understanding

CUP, BALL, BLUE_CUP = Thing("cup"), Thing("ball"), Thing("cup", "blue")
READER = GoalReader.of("tabletop")
# right and near in metres: cups from left to right red, green, blue; a ball left of the red cup
THINGS = (
    Placed(Thing("cup", "green"), right=0.0, near=0.1, size=0.06, gap=0.3),
    Placed(Thing("cup", "red"), right=-0.1, near=0.0, size=0.06, gap=0.2),
    Placed(Thing("cup", "blue"), right=0.15, near=-0.1, size=0.06, gap=0.1),
    Placed(Thing("ball", "red"), right=-0.16, near=0.05, size=0.04, gap=0.4),
    Placed(Thing("ball", "yellow"), right=0.12, near=0.06, size=0.045, gap=0.5),
)
GREEN, RED, BLUE, RED_BALL, YELLOW_BALL = range(5)


@pytest.mark.parametrize(
    "text, meant",
    [
        ("pick up the ball left of the blue cup", Related("left", BALL, BLUE_CUP)),
        (
            "could you grab the mug behind the red sphere?",
            Related("behind", CUP, Thing("ball", "red")),
        ),
        ("lift the sphere that stands in front of the azure mug", Related("front", BALL, BLUE_CUP)),
        ("take the ball nearest to your hand", Related("nearest", BALL, GRIPPER)),
        ("pick up whatever is closest to the gripper", Related("nearest", Thing(), GRIPPER)),
        ("the leftmost cup, please", Related("left", CUP)),
        ("get the cup on the far right", Related("right", CUP)),
        ("fetch the cup nearest to me", Related("front", CUP)),
        ("pick the second cup from the left up", Related("left", CUP, rank=2)),
        ("take the third ball from the right hand side", Related("right", BALL, rank=3)),
        ("grab the smallest one", Related("small", Thing())),
        ("I want the biggest of the things", Related("large", Thing())),
    ],
)
def test_a_sentence_says_what_its_object_is_told_by(text, meant):
    goal = read_related(text)
    assert goal is not None and goal.is_target and goal.related == meant


@pytest.mark.parametrize(
    "text",
    [
        "take the ball left of the gripper",
        "pick up the red cup",
        "put the duck in the pot",
        "stop",
        "left",
    ],
)
def test_other_sentences_say_nothing_of_the_kind(text):
    assert read_related(text) is None


def test_everything_that_is_said_is_read_back():
    told = [
        related for related, _ in relations_to(THINGS, targets=range(5), margin=0.0, gap_margin=0.0)
    ]
    assert {kind_of(r) for r in told} == {"anchored", "extreme", "ordinal", "size", "gripper"}
    rng = np.random.default_rng(0)
    for related in told:
        for held_out in (False, True):
            phrase = say(
                related,
                called=lambda t: " ".join(filter(None, (t.colour, t.noun))),
                held_out=held_out,
                rng=rng,
            )
            goal = read_related(f"would you mind lifting the {phrase}")
            assert goal is not None and goal.related == related, phrase


@pytest.mark.parametrize(
    "related, which",
    [
        (Related("left", CUP), RED),
        (Related("left", CUP, rank=2), GREEN),
        (Related("right", CUP, rank=3), RED),
        (Related("left", Thing()), RED_BALL),
        (Related("front", CUP), GREEN),
        (Related("behind", CUP), BLUE),
        (Related("left", BALL, Thing("cup", "red")), RED_BALL),
        (Related("right", CUP, Thing("cup", "green")), BLUE),
        (Related("nearest", BALL, BLUE_CUP), YELLOW_BALL),
        (Related("farthest", CUP, Thing("ball", "red")), BLUE),
        (Related("nearest", Thing(), GRIPPER), BLUE),
        (Related("small", Thing()), RED_BALL),
    ],
)
def test_one_thing_is_meant(related, which):
    assert resolve(related, THINGS) == which


@pytest.mark.parametrize(
    "related",
    [
        Related("left", BALL, Thing("cup")),  # three cups may be the anchor
        Related("right", BALL, BLUE_CUP),  # neither ball is
        Related("left", BALL, rank=3),  # of two
        Related("left", Thing("duck")),
    ],
)
def test_none_is_meant_where_nothing_fits(related):
    assert resolve(related, THINGS) is None


def test_within_the_margin_nothing_is_clear():
    leftmost, smallest = Related("left", Thing()), Related("small", Thing())
    assert resolve(leftmost, THINGS, margin=0.05) == RED_BALL  # by 6 cm
    assert resolve(leftmost, THINGS, margin=0.07) is None
    assert resolve(smallest, THINGS, margin=0.05) is None  # the other ball is nearly as small
    both = Related("left", CUP, Thing("ball", "yellow"))
    assert resolve(both, THINGS, margin=0.02) is None  # two cups are


def test_a_reader_asks_for_all_that_may_be_meant():
    read = READER.read("take the ball left of the blue cup")
    assert read.status is Understanding.UNDERSTOOD
    assert read.related == Related("left", BALL, BLUE_CUP)
    assert read.sentences == tuple(
        f"pick up the {colour} ball" for colour in ("red", "green", "blue", "yellow")
    )


@pytest.mark.parametrize(
    "text, status",
    [
        ("do not take the leftmost cup", Understanding.NOTHING_TO_DO),
        ("take the ball left of the purple cup", Understanding.NOT_UNDERSTOOD),
        ("put the red ball on the plate left of the blue cup", Understanding.NOT_UNDERSTOOD),
        ("take the leftmost pear", Understanding.NOT_UNDERSTOOD),
    ],
)
def test_what_cannot_be_done_is_not_asked_for(text, status):
    read = READER.read(text)
    assert (read.sentences, read.status) == ((), status)


def test_one_thing_alone_is_told_from_nothing():
    assert not list(relations_to(THINGS[:1], targets=[0], margin=0.01, gap_margin=0.01))
    assert resolve(Related("left", Thing()), THINGS[:1]) == 0  # a person's words mean it
