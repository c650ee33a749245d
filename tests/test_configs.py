"""The YAML files of configs/ against the signatures that they are values for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from robot.experiment.ablation import contenders_of
from robot.experiment.evaluate import evaluate
from robot.experiment.mixture import check_data
from robot.experiment.recipe import headline_scene_of, recipes_of, shared_of

from robot.dwsl import WEIGHTINGS
from robot.envs.registry import TASKS, check_scene
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop.scene import conditions
from robot.experiment.collect import check_mask_scenes, collect_demonstrations, collect_mask_frames
from robot.experiment.mask_quality import measure_masks
from robot.perception.compose.augment import CompositeAugment, Photometric
from robot.perception.head.label_discriminator import MaskDiscriminator
from robot.perception.head.mask_head import MaskHead
from robot.perception.ivm.discriminator import IvmDiscriminator
from robot.perception.ivm.pretrained import pretrained_discriminator, pretrained_ivm
from robot.perception.registry import (
    DISCRIMINATORS,
    FAULTS,
    HEADS,
    SOURCES,
    make_deployment,
    split_kind,
)
from robot.policy import POLICIES, make_policy
from robot.policy.demonstration_discriminator import Discriminator
from robot.policy.registry import ENCODER_OPTIONS
from robot.report.paper import paper
from robot.rollout.corrupt import Mixture
from robot.train.demonstration_discriminator import judge
from robot.train.label_tiers import check_weighting
from robot.train.loop import train
from tests.policy.toy import UNIT

FROM_THE_STAGE = {"module", "batches", "generator", "checkpoint_dir", "log"}
CONFIGS = Path(__file__).resolve().parents[1] / "configs"


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


@pytest.mark.parametrize("name", options("mask_head"))
def test_mask_head_keys_build_a_head(name):
    kind, values = split_kind(group("mask_head", name), HEADS)
    if kind == "mask_head":
        assert set(values) <= parameters(MaskHead)
        MaskHead(**values)
    else:
        assert set(values) == parameters(
            pretrained_ivm
        )  # building it takes weights: tests/perception/ivm


@pytest.mark.parametrize("name", options("mask_weighting"))
def test_mask_weighting_keys_are_what_its_stages_take(name):
    values = group("mask_weighting", name)
    check_weighting(values)
    kind = values.pop("kind")
    shares = {"trusted_share", "fault_share"} if kind != "none" else set()
    assert set(values) == shares | (
        {"witness_steps", "discriminator", "training"} if kind == "dwsl" else set()
    )
    if kind == "dwsl":
        kind, options_ = split_kind(values["discriminator"], DISCRIMINATORS)
        builder, built = {
            "mask_discriminator": (MaskDiscriminator, MaskDiscriminator),
            "ivm_discriminator": (pretrained_discriminator, IvmDiscriminator),
        }[kind]
        assert set(options_) == parameters(builder)
        assert (values["witness_steps"] is not None) == built.reads_losses
        assert (
            set(values["training"]) | {"device", "log_every"} == parameters(train) - FROM_THE_STAGE
        )


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_made_without_a_config_is_that_of_its_config(name):
    values = group("policy", name)
    assert values.pop("kind") == name
    configured = make_policy(name, statistics=UNIT, options=values)
    assert configured.config() == POLICIES[name](statistics=UNIT).config()


@pytest.mark.parametrize("name", options("mask_training"))
def test_mask_training_keys_are_parameters_of_the_loop(name):
    left_to_the_loop = {"device", "log_every"}
    assert (
        set(group("mask_training", name)) | left_to_the_loop == parameters(train) - FROM_THE_STAGE
    )


@pytest.mark.parametrize("name", options("data"))
def test_data_keys_are_what_collection_takes(name):
    values = composed("train_policy", f"data={name}")["data"]
    from_the_command = {"root", "image_size", "workers", "progress"}
    assert set(values.pop("mask_frames")) == parameters(collect_mask_frames) - from_the_command
    assert (
        set(values) == {"root", "episodes", "seed", "quality"} <= parameters(collect_demonstrations)
    )
    if (quality := values["quality"]) is not None:
        assert set(quality) == {"episodes", "seed"} | parameters(Mixture)


@pytest.mark.parametrize("command", ["train_policy", "dwsl"])
@pytest.mark.parametrize("name", options("judge"))
def test_judge_keys_are_what_judging_takes(name, command):
    values = composed(command, f"judge={name}")["judge"]
    shared = {"horizon"}  # of both networks
    from_the_command = {
        "demonstrations",
        "episodes",
        "directory",
        "name",
        "seed",
        "log",
        "announce",
    }
    assert set(values) - shared == parameters(judge) - from_the_command
    assert set(values["discriminator"]) == parameters(Discriminator) - {"statistics"}
    own = parameters(POLICIES[values["kind"]]) - {"statistics", "encoder"}
    assert set(values["policy"]) == ENCODER_OPTIONS | own
    assert set(values["training"]) | {"device", "log_every"} == parameters(train) - FROM_THE_STAGE
    check_data(
        composed("train_policy", "data=mixed")["data"],
        task="pick",
        weightings=["dwsl"],
        judging=values,
    )


@pytest.mark.parametrize("command", ["train_policy", "ablate"])
@pytest.mark.parametrize("weighting", list(WEIGHTINGS))
def test_every_weighting_of_demonstrations_can_be_asked_for(command, weighting):
    """No config group has the key's name: Hydra would look for a file in it."""
    config = composed(command, "data=mixed", f"weighting={weighting}")
    shared, arms = (
        shared_of(config),
        {name: config["arms"][name] for name in ("masked", "unmasked")},
    )
    weightings = [recipe.weighting for recipe in recipes_of(config | {"arms": arms})]
    assert weightings == [weighting] * 2
    check_data(shared.data, task=shared.task, weightings=weightings, judging=shared.judging)


@pytest.mark.parametrize("name", options("mask_weighting"))
def test_every_weighting_of_masks_can_be_asked_for(name):
    assert composed("train_mask", f"mask_weighting={name}")["mask_weighting"] == group(
        "mask_weighting", name
    )


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
    evaluation = composed("train_policy", "task=door", "evaluation.scenes=[clean,noise]")[
        "evaluation"
    ]
    assert (
        headline_scene_of(evaluation) is None
        and headline_scene_of(evaluation | {"headline_scene": "noise"}) == "noise"
    )


def test_collect_keys_are_what_collection_takes():
    assert set(composed("collect")) == parameters(collect_demonstrations) - {"progress"}


def test_measure_keys_are_what_measuring_takes():
    from_the_command = {"head", "root", "image_size", "workers", "progress"}
    assert set(composed("train_mask")["measure"]) == parameters(measure_masks) - from_the_command


def test_evaluation_keys_are_what_evaluating_takes():
    masks_and_report = {"mask_scenes", "mask_scenes_each", "headline_scene"}
    from_the_command = {"arms", "tasks", "env_options", "workers", "progress"}
    assert (
        set(composed("train_policy")["evaluation"]) - masks_and_report
        == parameters(evaluate) - from_the_command
    )


@pytest.mark.parametrize("name", options("env"))
def test_env_keys_are_parameters_of_the_env(name):
    assert (
        {"task"} <= set(composed("train_policy", f"env={name}")["env"]) <= parameters(RobosuiteEnv)
    )


def test_augment_keys_are_what_augmentation_takes():
    augment = composed("train_policy")["augment"]
    assert set(augment.pop("jitter")) == parameters(Photometric)
    assert set(augment) == parameters(CompositeAugment) - {"jitter", "fill"}


@pytest.mark.parametrize("name", options("perception"))
def test_a_perception_is_a_source_and_a_deployment(name):
    values = composed("train_policy", f"perception={name}")["perception"]
    assert values["masks"] in SOURCES
    make_deployment(**values["deployment"])


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_trains_and_evaluates_in_scenes_that_exist(experiment):
    config = composed("train_policy", f"experiment={experiment}")
    assert config["task"] in TASKS
    evaluation = config["evaluation"]
    for scene in (
        *evaluation["scenes"],
        *(s for arm in config["arms"].values() for s in arm["scenes"]),
    ):
        check_scene(config["task"], scene)
    check_mask_scenes([config["task"]], evaluation["mask_scenes"])
    check_mask_scenes(
        config["data"]["mask_frames"]["tasks"], config["data"]["mask_frames"]["scenes"]
    )
    assert evaluation["headline_scene"] in evaluation["scenes"]
    assert all(arm["perception"] in SOURCES and arm["steps"] > 0 for arm in config["arms"].values())


@pytest.mark.parametrize("preset", options("preset"))
def test_every_preset_compares_arms_in_scenes_that_exist(preset):
    config = composed("ablate", f"preset={preset}")
    contenders = contenders_of(config)
    assert shared_of(config).task in TASKS
    evaluation = config["evaluation"]
    for task in evaluation["tasks"]:
        for scene in evaluation["scenes"]:
            check_scene(task, scene)
    assert evaluation["headline_scene"] in evaluation["scenes"]
    assert {scene for c in contenders for scene in c.recipe.scenes} <= {"clean", "randomised"}


@pytest.mark.parametrize("preset", options("preset"))
def test_a_preset_leaves_what_the_main_job_trains_as_it_is(preset):
    """But for what it sets on purpose, so that policies and heads are shared."""
    config, main = composed("ablate", f"preset={preset}"), composed("train_policy")
    same = ("augment", "mask_head", "mask_training", "mask_batch_size", "perception", "seed")
    assert {key: config[key] for key in same} == {key: main[key] for key in same}
    budget = {"unmasked": main["arms"]["unmasked"] | {"steps": config["maskless"]["steps"]}}
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
    assert set(config["evaluation"]["scenes"]) == set(conditions()) - {"randomised"}


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
