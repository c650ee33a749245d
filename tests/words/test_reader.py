"""What sentences ask for, in the tabletop's own words."""

from __future__ import annotations

import pytest

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.words.reader import GoalReader, vocabulary_named_by
from robot.words.request import Understanding
from robot.words.spelling import candidates, distance, slip

READER = GoalReader.of("tabletop")


def sentences(text: str) -> tuple[str, ...]:
    return READER.read(text).sentences


@pytest.mark.parametrize(
    "text, meant",
    [
        ("please take the crimson mug", "pick up the red cup"),
        ("Would you mind lifting the jade sphere off the table?", "pick up the green ball"),
        ("I'm thirsty. Pass me the golden beaker", "pick up the yellow cup"),
        ("the green ball should be picked up", "pick up the green ball"),
        ("lift the cup which is blue", "pick up the blue cup"),
        ("put the crimson mug onto the emerald saucer", "put the red cup on the green plate"),
        ("pik up the gren cilinder", "pick up the green cylinder"),
        ("liftthe yelow bal", "pick up the yellow ball"),
        ("not the red one, the blue cup", "pick up the blue cup"),
        ("take the blue cup, not the red one", "pick up the blue cup"),
        ("take not the red cup but the blue one", "pick up the blue cup"),
        ("instead of the red ball grab the yellow cup", "pick up the yellow cup"),
        ("I don't want the red cup, I want the blue one", "pick up the blue cup"),
        ("pick up the red cup, no, the blue one", "pick up the blue cup"),
        ("There is a blue ball. Could you help me get it?", "pick up the blue ball"),
        ("wait, take the blue ball", "pick up the blue ball"),
        ("if you can, pick up the navy cup", "pick up the blue cup"),
        ("grap the reed cpu form the table", "pick up the red cup"),
        ("i ned the bule cpu rihgt now", "pick up the blue cup"),
        ("bring em te yelow ball", "pick up the yellow ball"),
        ("I would like that you take the navy cylinder", "pick up the blue cylinder"),
        ("ensconce the red cup on the green plate", "put the red cup on the green plate"),
        ("It's the red cup I'm after, never mind the blue ball", "pick up the red cup"),
        ("The red cup stays on the table. The blue ball comes to me.", "pick up the blue ball"),
        ("Execute pick: target = red cup", "pick up the red cup"),
        ("lift the mug off table that is blue", "pick up the blue cup"),
        ("My knees are not what they used to be. Take the red cup.", "pick up the red cup"),
        ("Next on the sheet: get the blue die", "pick up the blue cube"),
        (
            "I can't walk over there because the sauce will split if I stop, and the lad has not "
            "come back. So be a star and get me the navy cylinder, quickly.",
            "pick up the blue cylinder",
        ),
        (
            "On the table lies the blue die. Might I ask you to lift it for me?",
            "pick up the blue cube",
        ),
        (
            "Earlier he took the red cup. Now I need the green block, please.",
            "pick up the green cube",
        ),
        ("Ignore the yellow cube. Target is the blue die.", "pick up the blue cube"),
    ],
)
def test_a_sentence_becomes_the_one_that_training_knew(text, meant):
    assert sentences(text) == (meant,)


@pytest.mark.parametrize(
    "text, status",
    [
        ("do not pick up the red cup", Understanding.NOTHING_TO_DO),
        ("don't take the red cup or the blue ball", Understanding.NOTHING_TO_DO),
        ("leave the red cup alone", Understanding.NOTHING_TO_DO),
        ("pick up the red cup... actually, don't", Understanding.NOTHING_TO_DO),
        ("stop", Understanding.NOTHING_TO_DO),
        ("pick up the red cup. Stop!", Understanding.NOTHING_TO_DO),
        ("拿起红色的杯子", Understanding.NOT_UNDERSTOOD),
        ("pick up the 红色 cup", Understanding.NOT_UNDERSTOOD),
        ("nimm die rote Tasse", Understanding.NOT_UNDERSTOOD),
        ("my grandmother has a red cup", Understanding.NOT_UNDERSTOOD),
        ("what colour is the red cup?", Understanding.NOT_UNDERSTOOD),
        ("if it rains, pick up the red cup", Understanding.NOT_UNDERSTOOD),
        ("pick up the red cup and the blue ball", Understanding.NOT_UNDERSTOOD),
        ("pick up the red cup holder", Understanding.NOT_UNDERSTOOD),
        ("take the red block to the kitchen", Understanding.NOT_UNDERSTOOD),
        ("I see a red ball and a blue cup", Understanding.NOT_UNDERSTOOD),
        ("no red cup", Understanding.NOTHING_TO_DO),
        ("grab the blue book", Understanding.NOT_UNDERSTOOD),
        ("fetch the red apple", Understanding.NOT_UNDERSTOOD),
        ("take the yellow bell", Understanding.NOT_UNDERSTOOD),
        ("pick up the purple cup", Understanding.NOT_UNDERSTOOD),
        ("put the red cup on the shelf", Understanding.NOT_UNDERSTOOD),
        ("grap the red cup and the blue ball", Understanding.NOT_UNDERSTOOD),
        ("wash the red cup", Understanding.NOT_UNDERSTOOD),
        ("refuse the red cup", Understanding.NOT_UNDERSTOOD),
        ("tell him to take the red cup", Understanding.NOT_UNDERSTOOD),
        ("you failed to take the red cup", Understanding.NOT_UNDERSTOOD),
        ("please tell me how to take the red cup", Understanding.NOT_UNDERSTOOD),
        ("dotn take the red cup", Understanding.NOTHING_TO_DO),
        ("nevr take the red cup", Understanding.NOTHING_TO_DO),
        ("frgt the red cup", Understanding.NOT_UNDERSTOOD),
        ("!pick(red cup)", Understanding.NOTHING_TO_DO),
        ("Nobody asked you to fetch the red cup", Understanding.NOTHING_TO_DO),
        ("pick up the red cup. And the newspaper", Understanding.NOT_UNDERSTOOD),
        ("gib mir die blaue Tasse", Understanding.NOT_UNDERSTOOD),
        ("Could you pass me the red stapler?", Understanding.NOT_UNDERSTOOD),
        ("He is busy with it. Take the red cup. No, better not.", Understanding.NOTHING_TO_DO),
        (
            "The lights are fixed. Take the red cup. Or take the blue one.",
            Understanding.NOT_UNDERSTOOD,
        ),
    ],
)
def test_a_sentence_that_asks_for_nothing_it_can_do_asks_the_head_nothing(text, status):
    read = READER.read(text)
    assert (read.status, read.sentences) == (status, ()) and read.reason


def test_a_goal_without_a_colour_may_mean_any_and_an_excluded_one_not():
    colours = ("red", "green", "blue", "yellow")
    assert sentences("the mug") == tuple(f"pick up the {colour} cup" for colour in colours)
    assert len(sentences("pick up the cup that is not red")) == 3
    assert sentences("pick up the pan") == ()  # a destination, which nothing learned to take


@pytest.mark.parametrize("kind", ["pick", "place"])
def test_what_the_tabletop_says_is_understood_and_what_training_saw_stays_as_it_is(kind):
    places = {
        Noun("plate", "blue"): "blue plate",
        Noun("pan", "silver"): "silver frying pan",
        Noun("pot", "black"): "pot",
    }
    objects = {
        Noun("cup", "red"): "red mug",
        Noun("cube", "green"): "green block",
        Noun("duck", "yellow"): "rubber duck",
    }
    for held_out in (False, True):
        for template in cat.wordings(kind, held_out=held_out):
            for (noun, phrase), (place, place_phrase) in zip(
                objects.items(), places.items(), strict=True
            ):
                text = template.format(
                    object=phrase, destination=place_phrase, preposition=place.preposition
                )
                read = READER.read(text)
                assert read.targets == ((noun.shape, noun.colour),), text
                wanted = (place.shape, place.colour) if kind == "place" else None
                assert read.destinations == (wanted,), text
                assert held_out or read.sentences == (text,)


def test_nonsense_is_not_understood():
    assert [text for text in cat.nonsense() if sentences(text)] == []


def test_the_vocabulary_holds_every_object_of_the_tabletop():
    assert READER.vocabulary is not None
    named = (*READER.vocabulary.targets, *READER.vocabulary.destinations)
    assert {one.noun: set(one.colours) for one in named} == {
        shape: set(cat.colours_of(shape)) for shape in cat.catalogue()["nouns"]
    }
    assert {one.noun: set(one.names) for one in named} == {
        shape: set(names) for shape, names in cat.catalogue()["nouns"].items()
    }


def test_a_reader_without_a_vocabulary_hands_sentences_on():
    for text in ("open the door", "拿起红色的杯子"):
        assert GoalReader().read(text).sentences == (text,)


def test_a_vocabulary_is_named_by_sentences_that_are_all_of_it():
    assert vocabulary_named_by(["pick up the red cup", "put the duck in the pot"]) == "tabletop"
    assert vocabulary_named_by(["pick up the red cup", "open the door"]) is None
    assert vocabulary_named_by([]) is None


def test_a_goal_of_three_hundred_words_is_what_it_says():
    talk = "We have worked at this table all week and it looks rather messy today. " * 22
    assert sentences(f"{talk} Please pick up the crimson mug. {talk}") == ("pick up the red cup",)
    assert sentences(talk) == ()


@pytest.mark.parametrize("one, other, slips", [("rde", "red", 1), ("cup", "cup", 0), ("", "ab", 2)])
def test_slips_are_counted_as_swaps_and_single_letters(one, other, slips):
    assert distance(one, other) == slips


def test_a_short_word_may_have_one_slip_and_a_long_one_two():
    assert candidates("cilindr", ["cylinder"]) == ("cylinder",)
    assert candidates("bxxl", ["ball"]) == ()


def test_a_slip_is_a_swap_a_letter_doubled_or_left_out_or_a_neighbouring_key():
    assert all(slip(typed, "blue") for typed in ("bule", "bluue", "blu", "bluw"))
    assert not any(slip(typed, "blue") for typed in ("blue", "blup", "buel", "b"))


@pytest.mark.parametrize(
    ("text", "unheeded"),
    [
        ("the small red cube", ("small",)),
        ("the big, wooden, red cube", ("big", "wooden")),
        ("take the left red cube", ("left",)),
        ("put the tiny red cup on the large blue plate", ("tiny", "large")),
        ("the red cup, the small one", ("small",)),
        ("grab the cup that is small red", ("small",)),
        ("grab the dark red cup, the very same one", ()),  # a shade, as crimson is
        ("the round block, the red one", ()),  # a name of the cylinder
    ],
)
def test_words_about_a_thing_that_no_head_learned_are_read_and_told(text, unheeded):
    read = READER.read(text)
    assert read.sentences and read.unheeded == unheeded
    assert all(repr(word) in read.note for word in unheeded) and bool(read.note) == bool(unheeded)


def test_the_reason_names_the_words_that_were_not_understood():
    assert READER.read("flibber the zorp").reason.endswith("unknown words: flibber, zorp")
    assert READER.read("pick up the striped red cup").reason == "unknown words: striped red"
    assert READER.read("stop").reason == "no object to take"
