"""What a report says first: what was not equal, and what ignoring the sentence is worth."""

from __future__ import annotations

import pytest

from robot.envs.tabletop.chance import chance
from robot.envs.tabletop.scene import sample_scene
from robot.experiment.levelling import chance_line, labels_of, unequal
from robot.train.options import Grounding
from tests.experiment.comparison import arm, common_of, data_of, evaluation_of
from tests.experiment.toy import augmentation_of, training_of

MASKED = arm("masked", "learned")
UNMASKED = arm("unmasked", steps=3.0)
TOLD = arm("told", steps=3.0, grounding=Grounding(weight=0.3))


def test_it_names_who_had_which_labels_demonstrations_and_steps():
    common = common_of(data=data_of(episodes=300), train=training_of(steps=1300))
    more = arm("more", scenes=("clean", "randomised"), episodes=2.0, steps=3.0)
    assert unequal([MASKED, UNMASKED, TOLD, more], common) == (
        "Not equal: labels of pixels (mask frames: masked; none: unmasked, more; beside the "
        "demonstrations: told); demonstrations (300: masked, unmasked, told; 600: more); steps of "
        "the policy (1,300: masked; 3,900: unmasked, told, more)."
    )


def test_it_says_so_where_all_is_equal():
    alike = [MASKED, arm("channel", "learned")]
    assert unequal(alike, common_of()) == "Equal: labels, demonstrations and steps."
    assert unequal([MASKED], common_of()) == ""


@pytest.mark.parametrize(
    ("one", "labels"),
    [
        (arm("oracle", "oracle"), "the simulator's, in the test too"),
        (MASKED, "mask frames"),
        (arm("first", grounding=Grounding(weight=0.3, frame_steps=9)), "mask frames"),
        (arm("frugal", "learned", own_head=training_of()), "beside the demonstrations"),
        (arm("pasted", augment=augmentation_of(backgrounds=0.5)), "beside the demonstrations"),
        (UNMASKED, "none"),
    ],
)
def test_labels_are_those_that_the_arm_or_its_head_learned_from(one, labels):
    assert labels_of(one) == labels


def test_chance_is_one_in_as_many_objects_as_stand_there():
    where = {"task": "pick", "scene": "clean", "seed": 5}
    one, two = (len(sample_scene(**where, index=index).placements) for index in range(2))
    assert chance(**where, episodes=1) == pytest.approx(1 / one)
    assert chance(**where, episodes=2) == pytest.approx((1 / one + 1 / two) / 2)


def test_nobody_is_right_by_chance_where_the_object_is_not_there():
    assert chance(task="pick", scene="absent", seed=5, episodes=3) == 0


def test_the_chance_line_names_every_scene_and_is_empty_for_other_tasks():
    line = chance_line(common_of(evaluation=evaluation_of(episodes=50)))
    assert line.startswith("By chance: a hand that ignores the sentence is right ")
    assert "in “clean”" in line and "in “distract”" in line
    assert chance_line(common_of(evaluation=evaluation_of(tasks=("duck_in_pot",)))) == ""
    assert chance_line(common_of(evaluation=evaluation_of(tasks=("door",)))) == ""
