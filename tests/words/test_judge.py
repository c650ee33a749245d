"""What the judge reads of a text that the grammar does not, and what it is heard on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from robot.words.candidates import Candidate, Role, candidates_of, open_candidates
from robot.words.items import Thing, items_of, words_of
from robot.words.judge import decided
from robot.words.phrases import noun_phrases
from robot.words.reader import GoalReader
from robot.words.request import understand

READER = GoalReader.of("tabletop")
RED_CUP, BLUE_BALL = Thing(noun="cup", colour="red"), Thing(noun="ball", colour="blue")


def passages(text: str) -> dict[tuple[str | None, str | None], list[str]]:
    """Return what the judge reads of each object that a text names."""
    return {
        (one.thing.noun, one.thing.colour): [
            " ".join(text for text, _ in passage) for passage in one.passages
        ]
        for one in candidates_of(noun_phrases(items_of(words_of(text))))
    }


def test_the_candidate_is_the_red_cup_and_every_other_object_the_blue_box():
    assert passages("My azure sphere is beside the golden beaker!") == {
        ("ball", "blue"): ["the red cup is beside the blue box !"],
        ("cup", "yellow"): ["the blue box is beside the red cup !"],
    }


def test_an_object_named_again_without_its_colour_is_the_same_one():
    assert passages("see the red cup? I like that cup") == {
        ("cup", "red"): ["see the red cup ? i like the red cup"]
    }


def test_a_long_text_is_read_around_what_it_names():
    talk = "We have walked along the river for an hour and nobody was there. " * 5
    (passage,) = passages(f"{talk} The mug over yonder. {talk}")[("cup", None)]
    assert "the red cup" in passage and len(passage.split()) < 60
    without_a_stop = talk.replace(".", "")
    (passage,) = passages(f"{without_a_stop} the mug {without_a_stop}")[("cup", None)]
    assert "the red cup" in passage and len(passage.split()) < 60


def test_words_that_nobody_knows_stay_beside_the_object_that_they_follow():
    assert passages("grab the red cup holder") == {("cup", "red"): ["grab the red cup holder"]}
    assert passages("grab the tartan cup") == {}


def test_only_the_object_itself_is_marked():
    (one,) = candidates_of(noun_phrases(items_of(words_of("I adore the red cup"))))
    assert one.passages == ((("i", Role.WORDS), ("adore", Role.WORDS), ("the red cup", Role(1))),)


@pytest.mark.parametrize(
    "text",
    [
        "pick up the red cup",  # the grammar reads it
        "do not pick up the red cup",
        "pick up the red cup. Stop!",
        "if it rains, pick up the red cup",
        "pick up the red cup and the blue ball",
        "pick up the 红色 cup",
        "nimm bitte die rote Tasse vom Tisch",
        "Could you pass me the newspaper beside the red cup?",
        "bring me the newspaper",
    ],
)
def test_the_judge_is_not_heard_where_the_grammar_decides_or_nothing_known_is_named(text):
    assert open_candidates(text, understand(text)) == ()


def test_what_a_refusal_does_not_cover_may_be_asked_for():
    text = "Ignore the yellow ball. My heart is set on the red cup."
    assert [one.thing for one in open_candidates(text, understand(text))] == [RED_CUP]


@pytest.mark.parametrize(
    ("probabilities", "meant"),
    [
        ((0.95, 0.1), RED_CUP),
        ((0.1, 0.95), BLUE_BALL),
        ((0.95, 0.6), None),  # two things to do
        ((0.75, 0.1), None),
        ((0.0, 0.0), None),
    ],
)
def test_one_object_that_is_surely_asked_for_is_the_target(probabilities, meant):
    assert decided([Candidate(RED_CUP, ()), Candidate(BLUE_BALL, ())], probabilities) == meant


def test_a_reader_that_the_grammar_suffices_for_imports_no_torch():
    program = (
        "import sys; from robot.words.reader import GoalReader; "
        "assert GoalReader.of('tabletop').read('take the mug').sentences; "
        "assert GoalReader.of('tabletop').read('stop').sentences == (); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


ASKS = [
    ("Honestly, what would make me happiest is the crimson mug up in your claw.", "red cup"),
    ("my knee hurts, be a love and see that the blue ball ends up in your hand", "blue ball"),
    ("We agreed on the green cube, so off you go and fetch.", "green cube"),
    ("The yellow cylinder, that is what I came for; up with it.", "yellow cylinder"),
    ("Would it kill you to hand me the red cup?", "red cup"),
]
TELLS = [
    "The crimson mug was the only thing she took when she moved out.",
    "How long have you been staring at the blue ball?",
    "My uncle swears by his green cube.",
    "Iron the yellow cylinder, would you.",
    "Whoever wants the red cup has to ask my wife.",
    "Had she asked nicely, the red cup would be hers by now.",
    "There's nothing special about the blue ball.",
]


def test_the_shipped_judge_hears_requests_and_nothing_else():
    read = [(READER.read(text), f"pick up the {name}") for text, name in ASKS]
    assert sum(goal.sentences == (meant,) for goal, meant in read) >= 4
    assert all(goal.sentences in ((), (meant,)) for goal, meant in read)
    judged = [(goal, meant) for goal, meant in read if goal.judged]
    assert judged and all(goal.note == f"understood as {meant!r}" for goal, meant in judged)
    assert [text for text in TELLS if READER.read(text).sentences] == []
