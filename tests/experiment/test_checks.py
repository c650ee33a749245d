"""What cannot work is refused before any long work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robot.envs.make import EnvOptions
from robot.experiment.checks import check_policies, check_scoring
from robot.experiment.early import (
    check_control_period,
    check_head,
    check_measured_scenes,
    check_scenes,
    check_seeds,
    check_weightings,
)
from robot.system.parse import Spec
from robot.train.mask_head import train_mask_head
from robot.types import InputError
from tests.experiment.comparison import (
    FRAMES,
    MIXED,
    arm,
    common_of,
    data_of,
    evaluation_of,
    mixed_of,
    scoring_of,
)
from tests.experiment.toy import HEAD, POLICY, head_training, training_of, write_mask_frames


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "fold"}, "got task 'fold', expected one of pick"),
        ({"evaluation": evaluation_of(scenes=("foggy",))}, "got scene 'foggy', expected one of"),
        ({"evaluation": evaluation_of(scenes=())}, "no task or no scene to evaluate"),
        ({"evaluation": evaluation_of(scenes=("clean", "clean"))}, "got clean twice in evaluation"),
        ({"evaluation": evaluation_of(tasks=())}, "no task or no scene to evaluate"),
        (
            {"evaluation": evaluation_of(tasks=("pick", "lift"))},
            "expected tabletop tasks where there are several",
        ),
        ({"evaluation": evaluation_of(headline_scene="foggy")}, "got scene 'foggy'"),
        (
            {"task": "lift", "env": EnvOptions(backend="mujoco", image_size=32)},
            "got task 'lift' with env=mujoco, expected a tabletop task",
        ),
    ],
)
def test_tasks_and_scenes_that_do_not_exist_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        check_scenes([arm("unmasked")], common_of(**change))


def test_a_scene_that_an_arm_learns_in_must_exist():
    with pytest.raises(InputError, match="got scene 'foggy'"):
        check_scenes([arm("unmasked", scenes=("clean", "foggy"))], common_of())


def test_the_headlines_scene_is_no_obstacle_to_a_task_without_it():
    evaluation = evaluation_of(tasks=("door",), scenes=("clean",), headline_scene="messy")
    check_scenes([arm("unmasked")], common_of(task="door", evaluation=evaluation))
    assert evaluation.headline is None
    assert replace(evaluation, headline_scene="clean").headline == "clean"


def test_a_chunk_too_short_for_what_is_executed_is_refused():
    common = common_of(evaluation=evaluation_of(execute=5))
    with pytest.raises(InputError, match="execute=5, expected at most the 4 actions of a chunk"):
        check_policies([arm("unmasked")], common)


def test_an_arms_own_chunk_must_be_long_enough_too():
    short = arm("short", policy=Spec("transformer", POLICY | {"horizon": 1}))
    with pytest.raises(InputError, match="execute=2, expected at most the 1 actions of a chunk"):
        check_policies([arm("unmasked"), short], common_of())


def test_another_control_period_than_that_of_the_demonstrations_is_refused():
    common = common_of(env=EnvOptions(image_size=32, control_dt_s=0.1))
    with pytest.raises(InputError, match=r"got env.control_dt_s=0.1, expected 0.05"):
        check_control_period(common)


@pytest.mark.parametrize("training", ["train", "mask_training"])
def test_a_device_that_is_not_there_is_refused(training):
    common = common_of(**{training: training_of(device="cuda:99")})
    with pytest.raises(InputError, match="cuda:99"):
        check_policies([arm("unmasked")], common)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (data_of(seed=1000), "which is data.seed, too"),
        (data_of(mask_frames=replace(FRAMES, seed=1000)), "which is data.mask_frames.seed, too"),
        (data_of(quality=replace(MIXED, seed=1000)), "which is data.quality.seed, too"),
    ],
)
def test_an_evaluation_on_seeds_that_were_learned_from_is_refused(data, says):
    check_seeds(common_of())
    with pytest.raises(InputError, match=f"got evaluation.seed=1000, {says}"):
        check_seeds(common_of(data=data))


def weigh(common, *weightings: str) -> None:
    check_weightings(weightings, common.data, common.scoring, task=common.task)


@pytest.mark.parametrize("weighting", ["dwsl", "trusted_only", "oracle"])
def test_trusted_demonstrations_alone_have_nothing_to_weigh(weighting):
    weigh(common_of(), "uniform")
    says = f"got weighting={weighting} where all demonstrations are trusted; add data=mixed"
    with pytest.raises(InputError, match=says):
        weigh(common_of(), "uniform", weighting)


def test_machine_demonstrations_start_from_other_states_than_the_trusted():
    with pytest.raises(InputError, match=r"data.quality.seed=0, expected another than data.seed"):
        weigh(mixed_of(seed=0), "uniform")


def test_a_task_with_one_object_has_no_wrong_one():
    common = replace(mixed_of(kinds={"wrong_object": 1.0}), task="lift")
    with pytest.raises(InputError, match="wrong_object for task 'lift'"):
        weigh(common, "uniform")


@pytest.mark.parametrize(
    ("scoring", "says"),
    [
        (scoring_of(masks="learned"), "got scoring.masks=learned without a mask head"),
        (scoring_of(folds=5), "got 4 trusted and 8 machine demonstrations for scoring.folds=5"),
    ],
)
def test_what_cannot_score_is_rejected_only_where_it_would_score(scoring, says):
    common = replace(mixed_of(), scoring=scoring)
    weigh(common, "oracle", "uniform")
    with pytest.raises(InputError, match=says):
        weigh(common, "oracle", "dwsl")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Spec("lookup", POLICY), "got scoring.policy.kind=lookup, expected one of"),
        (
            Spec("transformer", POLICY | {"dim": -1}),
            "got dim -1, expected a multiple of 4",
        ),
        (Spec("transformer", POLICY | {"cameras": 3}), "got 3 cameras for scoring.policy"),
    ],
)
def test_a_discriminator_that_cannot_be_built_is_rejected(policy, says):
    with pytest.raises(InputError, match=says):
        check_scoring(scoring_of(policy=policy))


def test_a_head_of_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match=r"got mask_head.kind=sonar, expected one of mask_head"):
        check_head(common_of(mask_head=Spec("sonar", {})))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": ("lift",)}, "'lift' for mask frames"),
        ({"tasks": ("pick", "pick")}, "expected each once"),
        ({"scenes": {"foggy": 1.0}}, "got scene 'foggy'"),
        ({"scenes": {"clean": 0.0}}, "shares >= 0 that are not all 0"),
        ({"scenes": {"clean": 1.0, "messy": -0.5}}, "shares >= 0 that are not all 0"),
    ],
)
def test_a_head_is_trained_in_scenes_that_exist(change, says):
    with pytest.raises(InputError, match=says):
        replace(FRAMES, **change)


@pytest.mark.parametrize("head", [None, Path("given")])
def test_a_head_is_measured_in_scenes_that_exist(head):
    common = common_of(head=head, evaluation=evaluation_of(mask_scenes=("foggy",)))
    check_measured_scenes([arm("unmasked")], common)  # where no arm has masks, none are measured
    with pytest.raises(InputError, match="got scene 'foggy'"):
        check_measured_scenes([arm("masked", "learned")], common)


@pytest.mark.usefixtures("hashed_words")
def test_a_head_of_another_size_cannot_be_gone_on_from(tmp_path):
    frames = write_mask_frames(tmp_path / "frames")
    start = train_mask_head(
        head_training(training=training_of(steps=1)), frames=frames, directory=tmp_path / "head"
    )
    check_head(common_of(head_start=start))
    with pytest.raises(InputError, match="expected the same; set head_start=null"):
        check_head(common_of(head_start=start, mask_head=Spec("mask_head", HEAD | {"dim": 32})))
