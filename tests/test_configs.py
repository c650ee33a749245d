"""The YAML files of configs/ against the types that they are values for: every command's config is
parsed as the command parses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from launch.collection import Collection
from launch.composition import with_quoted_goal
from launch.evaluation import parse_asked
from launch.mask_training import Measure, parse_job
from launch.scoring import parse_scoring
from robot.dwsl import WEIGHTINGS
from robot.envs.make import EnvOptions
from robot.envs.registry import TASKS
from robot.envs.tabletop.conditions import conditions
from robot.experiment.arms import arms_of, trained_arms
from robot.experiment.checks import check_policies
from robot.experiment.collect import MaskFrameOptions
from robot.experiment.compare import Comparison
from robot.experiment.config import Common, Data, Evaluation, Quality, common_of
from robot.experiment.early import check_head, check_scenes, check_seeds, check_weightings
from robot.perception.head.label_discriminator import MaskDiscriminator
from robot.perception.head.mask_head import MaskHead
from robot.perception.ivm.discriminator import IvmDiscriminator
from robot.perception.ivm.pretrained import pretrained_discriminator, pretrained_ivm
from robot.perception.registry import FAULTS, SOURCES, make_deployment
from robot.policy import POLICIES, make_policy
from robot.policy.registry import ENCODER_OPTIONS
from robot.report.paper import paper
from robot.system.parse import Spec, parse
from robot.train.demonstration_discriminator import DiscriminatorOptions, Scoring
from robot.train.label_tiers import MaskWeighting
from robot.train.loop import Training
from robot.train.policy import Augmentation
from robot.types import InputError
from tests.policy.toy import UNIT

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# of several GB, which are not at hand here: tests/perception/ivm
PRETRAINED = {"ivm_sam_llava", "dwsl_ivm"}


def composed(name: str, *overrides: str) -> Any:
    """Return a command's whole config, as a person gets it."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = compose(name, overrides=list(overrides))
    assert isinstance(config, DictConfig)
    return OmegaConf.to_container(config, resolve=True)


def group(name: str, option: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONFIGS / name), version_base=None):
        return OmegaConf.to_container(compose(option), resolve=True)  # type: ignore[return-value]


def options(name: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / name).glob("*.yaml"))


def parameters(function: Callable) -> set[str]:
    return set(inspect.signature(function).parameters)


def names_of(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}


def comparison_of(config: Any) -> Comparison:
    """Do what Comparison.of does, but for asking the machine for a GL context."""
    arms, common = arms_of(config), common_of(config)
    trained = trained_arms(arms, config)
    check_scenes(trained, common)
    check_policies(trained, common)
    check_seeds(common)
    weightings = [arm.weighting for arm in trained]
    check_weightings(weightings, common.data, common.scoring, task=common.task)
    check_head(common)
    return Comparison(tuple(arms), tuple(trained), common)


def compared(command: str, *overrides: str) -> Comparison:
    return comparison_of(composed(command, *overrides))


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_is_a_comparison_that_can_run(experiment):
    found = compared("train_policy", f"experiment={experiment}")
    assert found.common.task in TASKS
    assert found.arms[0].name == "masked"
    assert found.common.evaluation.headline is not None


@pytest.mark.parametrize("preset", options("preset"))
def test_every_preset_is_a_comparison_that_can_run(preset):
    found = compared("ablate", f"preset={preset}")
    assert found.common.evaluation.headline is not None
    scenes = {scene for arm in found.trained for scene in arm.scenes}
    assert scenes <= {"clean", "randomised", "randomised_still", "patch"}


@pytest.mark.parametrize("policy", options("policy"))
def test_every_policy_can_be_compared(policy):
    arms = compared("train_policy", f"policy={policy}").arms
    assert {arm.policy.kind for arm in arms} <= set(POLICIES)


@pytest.mark.parametrize(("train", "steps"), [("default", 1300), ("smoke", 20)])
def test_every_training_can_be_asked_for(train, steps):
    assert compared("train_policy", f"train={train}").common.train.steps == steps


@pytest.mark.parametrize("mask_training", options("mask_training"))
def test_every_training_of_a_head_can_be_asked_for(mask_training):
    values = group("mask_training", mask_training)
    common = compared("train_policy", f"mask_training={mask_training}").common
    assert common.mask_training.steps == values["steps"]


@pytest.mark.parametrize("command", ["train_policy", "train_mask", "score_demonstrations"])
@pytest.mark.parametrize("data", options("data"))
def test_every_data_group_is_parsed(command, data):
    section = composed(command, f"data={data}")["data"]
    parsed = parse(Data, section, at="data")
    assert (parsed.quality is not None) == (data == "mixed")


def test_the_sections_of_a_comparison_name_every_key_of_their_types():
    """What is left to a default in Python would be seen by nobody who reads the YAML."""
    config = composed("train_policy", "data=mixed")
    for section, cls in (
        (config["data"], Data),
        (config["data"]["quality"], Quality),
        (config["data"]["mask_frames"], MaskFrameOptions),
        (config["evaluation"], Evaluation),
        (config["scoring"]["discriminator"], DiscriminatorOptions),
        (config["train"], Training),
    ):
        assert set(section) == names_of(cls), cls.__name__
    assert set(config["scoring"]) - {"horizon"} == names_of(Scoring)
    assert set(config["augment"]) == names_of(Augmentation) - {"backgrounds"}
    assert set(config["mask_training"]) == names_of(Training) - {"device", "log_every"}
    assert {"backend", "robot", "image_size", "control_dt_s"} == set(config["env"])
    assert set(config["env"]) <= names_of(EnvOptions)


def test_a_comparison_has_no_key_that_nobody_reads():
    read = names_of(Common) - {"seeds"} | {"seed", "training_seeds"}
    arms = {"arms", "compare", "perception", "augment", "weighting", "policy", "unmasked"}
    assert set(composed("train_policy")) == read | arms
    only_here = {"strong_augment", "grounding", "own_head_training"}
    assert set(composed("ablate")) - only_here == read | arms


def test_training_seeds_are_counted_from_the_first():
    assert compared("train_policy", "seed=3", "training_seeds=2").common.seeds == (3, 4)


def test_the_shipped_head_is_known_by_its_name():
    found = compared("ablate", "preset=quick")
    assert found.common.head is not None and found.common.head.name == "mask_head.safetensors"


def test_without_masks_there_is_no_masked_arm():
    assert [arm.name for arm in compared("train_policy", "perception=none").arms] == ["unmasked"]


def test_with_the_oracles_masks_the_masked_arm_sees_the_oracle():
    arms = compared("train_policy", "perception=oracle").arms
    assert [(arm.name, arm.perception) for arm in arms] == [
        ("masked", "oracle"),
        ("unmasked", "none"),
    ]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("+data.shards=3", "got data.shards, which the config does not have"),
        ("batch_size=0", "got batch_size=0, expected at least 1"),
        ("scoring.folds=1", "got scoring.folds=1, expected at least 2"),
        ("scoring.policy.horizon=8", "got horizon 8 and 16 of policy and discriminator"),
        ("train.precision=fp8", "got train.precision=fp8, expected 'auto', 'bf16' or 'fp32'"),
        ("wandb=always", "got wandb=always, expected 'auto', 'online', 'offline' or 'disabled'"),
        ("data.mask_frames.absent_share=2", "data.mask_frames.absent_share=2, expected at most 1"),
        ("env.robot=R2D2", "R2D2"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place_in_the_config(override, says):
    config = composed("train_policy", "data=mixed", override)
    with pytest.raises(InputError, match=says):
        comparison_of(config)


@pytest.mark.parametrize("name", options("mask_head"))
def test_mask_head_keys_build_a_head(name):
    spec = Spec.of(group("mask_head", name))
    if name in PRETRAINED:
        assert set(spec.options) == parameters(pretrained_ivm)
    else:
        MaskHead(**spec.options)


@pytest.mark.parametrize("name", options("mask_weighting"))
def test_every_weighting_of_masks_is_parsed(name):
    values = composed("train_mask", f"mask_weighting={name}")["mask_weighting"]
    assert values == group("mask_weighting", name)
    assert parse(MaskWeighting, values).kind == values["kind"]


@pytest.mark.parametrize("name", ["dwsl", "dwsl_ivm"])
def test_a_discriminator_of_labels_has_the_options_of_its_constructor(name):
    weighting = parse(MaskWeighting, group("mask_weighting", name))
    builder, built = {
        "mask_discriminator": (MaskDiscriminator, MaskDiscriminator),
        "ivm_discriminator": (pretrained_discriminator, IvmDiscriminator),
    }[weighting.discriminator.kind]
    assert set(weighting.discriminator.options) == parameters(builder)
    assert (weighting.witness_steps is not None) == built.reads_losses


@pytest.mark.parametrize("name", sorted(set(options("mask_weighting")) - PRETRAINED))
def test_every_training_of_a_mask_head_is_parsed(name):
    job = parse_job(composed("train_mask", f"mask_weighting={name}"))
    assert job.mask_weighting.kind == group("mask_weighting", name)["kind"]
    assert set(composed("train_mask")["measure"]) == names_of(Measure)


def test_a_mask_head_learns_from_a_suite_of_libero_and_is_measured_on_it():
    job = parse_job(composed("train_mask", "env=libero", "env.suite=libero_object"))
    assert job.data.mask_frames.tasks == job.measure.tasks == ("libero_object",)
    assert job.data.mask_frames.scenes["rearranged"] > 0 and job.head_start is not None


def test_a_mask_head_is_measured_on_another_seed_than_it_learned_from():
    job = parse_job(composed("train_mask"))
    assert job.measure.seed != job.data.mask_frames.seed


def test_what_scores_demonstrations_is_parsed():
    scoring = parse_scoring(composed("score_demonstrations"))
    assert (scoring.task, scoring.data.tiers) == ("pick", (50, 150))


def test_there_is_nothing_to_score_where_all_demonstrations_are_trusted():
    with pytest.raises(InputError, match="got data without machine demonstrations"):
        parse_scoring(composed("score_demonstrations", "data=tabletop"))


def test_what_collects_is_parsed():
    collection = parse(Collection, composed("collect"))
    assert (collection.task, collection.scene, collection.quality) == ("pick", "clean", None)
    assert set(composed("collect")) == names_of(Collection)


def test_what_collects_machine_demonstrations_is_parsed():
    quality = "quality={corrupted: 0.6, kinds: {noisy: 1, stall: 1}}"
    collection = parse(Collection, composed("collect", quality))
    assert collection.quality is not None
    assert dict(collection.quality.kinds) == {"noisy": 1, "stall": 1}


@pytest.mark.parametrize("perception", [[], *([f"perception={name}"] for name in SOURCES)])
def test_what_evaluates_is_parsed(perception):
    asked = parse_asked(composed("evaluate", "checkpoint=tabletop", *perception))
    assert (asked.tasks, asked.scenes, asked.episodes) == (("pick",), ("clean",), 50)
    assert asked.perception == (perception[0].split("=")[1] if perception else None)


def test_several_tasks_and_scenes_are_evaluated_where_they_are_asked_for():
    overrides = ("task=[pick,place]", "scene=[clean,distract]")
    asked = parse_asked(composed("evaluate", "checkpoint=tabletop", *overrides))
    assert (asked.tasks, asked.scenes) == (("pick", "place"), ("clean", "distract"))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_made_without_a_config_is_that_of_its_config(name):
    spec = Spec.of(group("policy", name))
    assert spec.kind == name
    configured = make_policy(name, statistics=UNIT, options=spec.options)
    assert configured.config() == POLICIES[name](statistics=UNIT).config()


def test_the_scored_policy_has_the_options_of_its_constructor():
    policy = compared("train_policy", "data=mixed").common.scoring.policy
    own = parameters(POLICIES[policy.kind]) - {"statistics", "encoder"}
    assert set(policy.options) == ENCODER_OPTIONS | own


@pytest.mark.parametrize("command", ["train_policy", "ablate"])
@pytest.mark.parametrize("weighting", list(WEIGHTINGS))
def test_every_weighting_of_demonstrations_can_be_asked_for(command, weighting):
    """No config group has the key's name: Hydra would look for a file in it."""
    arms = compared(command, "data=mixed", f"weighting={weighting}").arms
    assert [arm.weighting for arm in arms] == [weighting] * 2


@pytest.mark.parametrize(
    ("command", "overrides", "times"),
    [
        ("train_policy", [], 3.0),
        ("train_policy", ["experiment=rivals"], 3.0),
        ("ablate", ["preset=full"], 8.0),
        ("ablate", ["preset=paper"], 3.0),
    ],
)
def test_arms_without_a_mask_head_get_its_time(command, overrides, times):
    arms = [
        arm
        for arm in composed(command, *overrides)["arms"].values()
        if arm.get("perception") == "none"
    ]
    assert arms and {arm["steps"] for arm in arms} == {times}


def test_the_default_headline_is_no_obstacle_to_a_task_without_that_scene():
    common = compared("train_policy", "task=door", "evaluation.scenes=[clean,noise]").common
    assert common.evaluation.headline is None


@pytest.mark.parametrize("name", options("perception"))
def test_a_perception_is_a_source_and_a_deployment(name):
    values = composed("train_policy", f"perception={name}")["perception"]
    assert values["masks"] in SOURCES
    make_deployment(**values["deployment"])


@pytest.mark.parametrize("preset", options("preset"))
def test_a_preset_leaves_what_the_main_job_trains_as_it_is(preset):
    """But for what it sets on purpose, so that policies and heads are shared."""
    config = composed("ablate", f"preset={preset}")
    main = composed("train_policy", f"env={config['env']['backend']}")
    same = ("augment", "mask_head", "mask_training", "mask_batch_size", "perception", "seed")
    assert {key: config[key] for key in same} == {key: main[key] for key in same}
    budget = {"unmasked": main["arms"]["unmasked"] | {"steps": config["unmasked"]["steps"]}}
    assert {name: config["arms"][name] for name in main["arms"]} == main["arms"] | budget


def test_the_paper_preset_is_the_papers_table():
    config = composed("ablate", "preset=paper")
    assert (
        set(config["evaluation"]["tasks"]) == set(paper()["tasks"])
        and config["training_seeds"] == 3
    )
    place = composed("train_policy", "experiment=place")
    assert {key: config[key] for key in ("task", "data", "train", "policy")} == {
        key: place[key] for key in ("task", "data", "train", "policy")
    }
    assert {(s, a) for s in config["evaluation"]["scenes"] for a in config["compare"]} >= set(
        map(tuple, paper()["columns"])
    )
    assert config["evaluation"]["episodes"] == 50


def test_the_full_preset_compares_every_arm_in_every_scene():
    config = composed("ablate", "preset=full")
    assert set(config["compare"]) == set(config["arms"])
    training_only = {
        "randomised",
        "randomised_still",
        "strangers",
        "patch",
        "randomised_duplicates",
    }
    for_regions = {"duplicates", "duplicates_clutter"}  # words cannot tell which is meant
    assert set(config["evaluation"]["scenes"]) == set(conditions()) - training_only - for_regions


def test_every_mask_fault_has_an_arm():
    arms = composed("ablate")["arms"].values()
    assert {fault["name"] for arm in arms for fault in arm.get("faults", ())} == set(FAULTS)


def test_strong_augmentation_is_stronger_in_everything():
    usual, strong = composed("ablate")["augment"], composed("ablate")["strong_augment"]
    assert set(strong) == set(usual) | {"backgrounds"}
    assert all(strong["jitter"][name] > usual["jitter"][name] for name in usual["jitter"])
    assert strong["shift"] > usual["shift"] and strong["noise"] > usual["noise"]


def test_nothing_is_evaluated_on_seeds_that_were_trained_on():
    config = composed("train_policy")
    mixed = composed("train_policy", "data=mixed")["data"]["quality"]
    trained = {config["data"]["seed"], config["data"]["mask_frames"]["seed"], mixed["seed"]}
    assert {
        config["evaluation"]["seed"],
        composed("evaluate", "checkpoint=a")["seed"],
        composed("ablate")["evaluation"]["seed"],
        composed("train_mask")["measure"]["seed"],
    }.isdisjoint(trained)


def test_a_goal_of_evaluate_is_that_of_its_env():
    for overrides in (["goal='take it'"], ["+env.goal='take it'"]):
        asked = parse_asked(composed("evaluate", "checkpoint=tabletop", *overrides))
        assert asked.env.goal == "take it"
    assert parse_asked(composed("evaluate", "checkpoint=tabletop")).env.goal is None


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["goal='  '"], "got goal=  , expected a sentence"),
        (["goal=take it", "+env.goal=take that"], "expected one sentence"),
        (["goal=take it", "scene=absent"], "with scene=absent, a scene made by its own goal"),
    ],
)
def test_a_goal_that_cannot_be_followed_is_refused(overrides, says):
    with pytest.raises(InputError, match=says):
        parse_asked(composed("evaluate", "checkpoint=tabletop", *overrides))


@pytest.mark.parametrize(
    "goal",
    [
        "please take the crimson mug",
        "not the red one, the blue cup",
        "don't take the cup (take the ball)!",
        'take "that": the \\ cup',
        "take it = 5",
    ],
)
def test_any_sentence_reaches_evaluate_as_it_was_typed(goal):
    (argument,) = with_quoted_goal([f"goal={goal}"])
    asked = parse_asked(composed("evaluate", "checkpoint=tabletop", argument))
    assert asked.env.goal == goal


def test_a_goal_in_quotes_or_null_is_left_to_hydra():
    given = ["goal='take it'", "goal=null", 'goal="a","b"', "scene=clean,distract"]
    assert with_quoted_goal(given) == given
