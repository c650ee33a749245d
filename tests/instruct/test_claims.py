"""What claims say, when they are true, and what correction does with a model's verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from robot.instruct.build import build_graph
from robot.instruct.claims import Claim, holds, sentence, shown_by
from robot.instruct.correct import (
    Rules,
    Verdict,
    corrected,
    failed_tests,
    one_shot,
    regenerated,
    verified,
)
from robot.types import Frame
from tests.instruct.toy import WORLD, raw_of, reached

GRAPH = build_graph(raw_of(WORLD))
FRAME = Frame("above", np.zeros((96, 96, 3), np.uint8))
RULES = Rules(0.5, 0.3, 0.2, 0.1, slack=0.8, rounds=3)
CUP, BALL, PLATE = 10, 12, 14


def mask(number: int) -> np.ndarray:
    shown = GRAPH.by_id[number].mask
    assert shown is not None
    return shown


def claim(topic: str, word: str, number: int, *, other: int | None = None, noun: str = "") -> Claim:
    return Claim(
        topic,
        word,
        number,
        mask(number),
        other_region=-1 if other is None else other,
        other=None if other is None else mask(other),
        noun=noun,
    )


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        (claim("name", "cup", CUP), True),
        (claim("name", "ball", CUP), False),
        (claim("colour", "red", CUP), True),
        (claim("colour", "blue", CUP), False),
        (claim("side", "left", CUP, other=BALL), True),
        (claim("side", "right", CUP, other=BALL), False),
        (claim("side", "left", CUP, other=CUP), False),
        (claim("count", "2", CUP, noun="cup"), True),
        (claim("count", "1", CUP, noun="cup"), False),
        (claim("role", "target", BALL), True),
        (claim("role", "destination", PLATE), True),
        (claim("role", "target", CUP), False),
        (claim("reached", "yes", BALL), False),
        (claim("state", "free", BALL), True),
        (claim("state", "held", BALL), False),
    ],
)
def test_a_claim_is_true_as_the_graph_says(said, truth):
    assert holds(said, GRAPH) is truth


def test_a_reached_goal_makes_the_claim_that_it_is_reached_true():
    done = build_graph(raw_of(reached(WORLD)))
    assert holds(claim("reached", "yes", PLATE), done) is True


def test_an_unknown_colour_is_neither_true_nor_false():
    assert holds(claim("colour", "white", 15), GRAPH) is None  # the door has no colour word


def test_a_mask_beside_everything_shows_nothing_and_all_claims_of_it_are_false():
    corner = np.zeros((96, 96), bool)
    corner[:9, :9] = True
    assert shown_by(corner, GRAPH) is None
    assert holds(Claim("colour", "red", 0, corner), GRAPH) is False


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (claim("name", "egg", CUP), "there is an egg"),
        (claim("side", "left", CUP, other=BALL), "the cup is to the left of the object"),
        (claim("count", "2", CUP, noun="cup"), "the number of cups in view is 2"),
        (claim("state", "held", CUP), "the cup is held by the gripper"),
    ],
)
def test_claims_in_words(said, text):
    assert sentence(said, {CUP: "cup"}) == text


# --- correction


@dataclass
class Scripted:
    """A model whose verdicts stand in a table: (topic, region, word) -> P(true); what is best."""

    first: list[Claim]
    chances: dict[tuple[str, int, str], float]
    best: dict[tuple[str, int], str] = field(default_factory=dict)
    later: list[Claim] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)  # how much was accepted at each judgement

    def generate(self, frame, goal, accepted):
        return list(self.later if accepted else self.first)

    def answer(self, frame, goal, claims, accepted):
        return [self.best.get((c.topic, c.region), c.word) for c in claims]

    def judge(self, frame, goal, claims, accepted):
        self.asked.append(len(accepted))
        words = self.answer(frame, goal, claims, accepted)
        return [
            Verdict(self.chances.get((c.topic, c.region, c.word), 0.0), 1.0, 1.0, 0.0, best, 0.9)
            for c, best in zip(claims, words, strict=True)
        ]


CUP_IS_CUP = claim("name", "cup", CUP)
BALL_IS_EGG = claim("name", "egg", BALL)
PLATE_IS_RED = claim("colour", "green", PLATE)


def model(**changes) -> Scripted:
    made = Scripted(
        first=[CUP_IS_CUP, BALL_IS_EGG, PLATE_IS_RED],
        chances={("name", CUP, "cup"): 0.9, ("name", BALL, "ball"): 0.8},
        best={("name", BALL): "ball", ("colour", PLATE): "blue"},
    )
    return replace(made, **changes)


def said(claims) -> set[tuple[str, int, str]]:
    return {(c.topic, c.region, c.word) for c in claims}


def test_a_claim_is_accepted_substituted_or_dropped_and_the_log_says_which():
    scripted = model()
    result = corrected(FRAME, "", scripted, one_shot(FRAME, "", scripted), RULES)
    assert said(result.claims) == {("name", CUP, "cup"), ("name", BALL, "ball")}
    assert [e.action for e in result.edits] == ["accept", "substitute", "drop"]
    assert result.edits[1].became == "there is a ball"
    assert result.edits[2].failed == ("chance", "erasure")
    assert result.chances == (0.9, 0.8)


def test_correction_ends_where_a_second_judgement_changes_nothing():
    scripted = model()
    result = corrected(FRAME, "", scripted, scripted.first, RULES)
    assert result.fixed and result.rounds == 2


def test_what_is_accepted_is_judged_again_in_its_light():
    scripted = model()
    corrected(FRAME, "", scripted, scripted.first, RULES)
    assert scripted.asked == [0, 0, 2]  # the claims, their substitutes, and all that was accepted


def test_a_model_that_goes_on_is_followed_until_it_has_no_more_to_say():
    more = claim("name", "plate", PLATE)
    scripted = model(later=[more])
    scripted.chances[("name", PLATE, "plate")] = 0.7
    result = corrected(FRAME, "", scripted, scripted.first, RULES)
    assert ("name", PLATE, "plate") in said(result.claims)
    assert result.fixed and result.rounds == 3


class Fickle(Scripted):
    """Likes a claim until it is accepted."""

    def judge(self, frame, goal, claims, accepted):
        verdicts = super().judge(frame, goal, claims, accepted)
        return [replace(v, chance=0.0) for v in verdicts] if accepted else verdicts


def test_an_accepted_claim_that_fails_later_is_withdrawn():
    fickle = Fickle([CUP_IS_CUP], {("name", CUP, "cup"): 0.9})
    result = corrected(FRAME, "", fickle, fickle.first, RULES)
    assert result.claims == ()
    assert [e.action for e in result.edits] == ["accept", "withdraw"]


def test_verify_and_drop_changes_no_word():
    scripted = model()
    assert said(verified(FRAME, "", scripted, scripted.first, RULES)) == {("name", CUP, "cup")}


def test_regeneration_alone_verifies_nothing():
    scripted = model()
    kept = regenerated(FRAME, "", scripted, scripted.first)
    assert said(kept) == {("name", CUP, "cup"), ("name", BALL, "ball"), ("colour", PLATE, "blue")}


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, ()),
        ({"chance": 0.45}, ("chance",)),
        ({"overlap": 0.25}, ("overlap",)),
        ({"agreement": 0.1}, ("agreement",)),
        ({"erased": 0.88}, ("erasure",)),
    ],
)
def test_each_test_of_a_verdict_can_fail_alone(changes, failed):
    passing = Verdict(chance=0.9, overlap=0.8, agreement=0.7, erased=0.1, best="", best_chance=0.0)
    assert failed_tests(replace(passing, **changes), RULES) == failed
