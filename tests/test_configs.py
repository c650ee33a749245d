"""The YAML files of configs/ against the signatures that they are values for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from robot.envs.registry import TASKS, check_scene
from robot.envs.robosuite import RobosuiteEnv
from robot.perception.augment import CompositeAugment, Photometric
from robot.perception.mask_head import MaskHead
from robot.pipeline.collect import check_mask_scenes, collect_demonstrations, collect_mask_frames
from robot.pipeline.dwsl import judge
from robot.pipeline.evaluate import evaluate
from robot.pipeline.loading import SOURCES, make_deployment
from robot.pipeline.mask_quality import measure_masks
from robot.pipeline.mixture import check_data
from robot.policy import POLICIES
from robot.policy.discriminator import Discriminator
from robot.rollout.corrupt import Mixture
from robot.train.loop import train

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
    values = group("mask_head", name)
    assert set(values) <= parameters(MaskHead)
    MaskHead(**values)


@pytest.mark.parametrize("name", options("mask_training"))
def test_mask_training_keys_are_parameters_of_the_loop(name):
    left_to_the_loop = {"device", "log_every"}
    from_the_stage = {"module", "batches", "generator", "checkpoint_dir", "log"}
    assert set(group("mask_training", name)) | left_to_the_loop == parameters(train) - from_the_stage


@pytest.mark.parametrize("name", options("data"))
def test_data_keys_are_what_collection_takes(name):
    values = composed("train_policy", f"data={name}")["data"]
    from_the_command = {"root", "image_size", "workers", "progress"}
    assert set(values.pop("mask_frames")) == parameters(collect_mask_frames) - from_the_command
    assert set(values) == {"root", "episodes", "seed", "quality"} <= parameters(collect_demonstrations)
    if (quality := values["quality"]) is not None:
        assert set(quality) == {"episodes", "seed"} | parameters(Mixture)


@pytest.mark.parametrize("command", ["train_policy", "dwsl"])
@pytest.mark.parametrize("name", options("judge"))
def test_judge_keys_are_what_judging_takes(name, command):
    values = composed(command, f"judge={name}")["judge"]
    shared = {"image_size", "horizon"}  # of both networks
    from_the_command = {"demonstrations", "episodes", "directory", "name", "seed", "log"}
    assert set(values) - shared == parameters(judge) - from_the_command
    assert set(values["discriminator"]) == parameters(Discriminator) - {"statistics"}
    assert set(values["policy"]) == parameters(POLICIES[values["kind"]]) - {"statistics"}
    from_the_stage = {"module", "batches", "generator", "checkpoint_dir", "log", "device", "log_every"}
    assert set(values["training"]) == parameters(train) - from_the_stage
    check_data(composed("train_policy", "data=mixed")["data"], task="pick", weighting="dwsl", judging=values)


def test_collect_keys_are_what_collection_takes():
    assert set(composed("collect")) == parameters(collect_demonstrations) - {"progress"}


def test_measure_keys_are_what_measuring_takes():
    from_the_command = {"head", "root", "image_size", "workers", "progress"}
    assert set(composed("train_mask")["measure"]) == parameters(measure_masks) - from_the_command


def test_evaluation_keys_are_what_evaluating_takes():
    masks_and_report = {"mask_scenes", "mask_scenes_each", "headline_scene"}
    from_the_command = {"arms", "tasks", "env_options", "workers", "progress"}
    assert set(composed("train_policy")["evaluation"]) - masks_and_report == parameters(evaluate) - from_the_command


@pytest.mark.parametrize("name", options("env"))
def test_env_keys_are_parameters_of_the_env(name):
    assert {"task"} <= set(composed("train_policy", f"env={name}")["env"]) <= parameters(RobosuiteEnv)


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
    for scene in (*evaluation["scenes"], *(s for arm in config["arms"].values() for s in arm["scenes"])):
        check_scene(config["task"], scene)
    check_mask_scenes([config["task"]], evaluation["mask_scenes"])
    check_mask_scenes(config["data"]["mask_frames"]["tasks"], config["data"]["mask_frames"]["scenes"])
    assert evaluation["headline_scene"] in evaluation["scenes"]
    assert all(arm["perception"] in SOURCES and arm["steps"] > 0 for arm in config["arms"].values())


def test_nothing_is_evaluated_on_seeds_that_were_trained_on():
    config = composed("train_policy")
    mixed = composed("train_policy", "data=mixed")["data"]["quality"]
    trained = {config["data"]["seed"], config["data"]["mask_frames"]["seed"], mixed["seed"]}
    assert {
        config["evaluation"]["seed"],
        composed("evaluate", "checkpoint=a")["seed"],
        composed("train_mask")["measure"]["seed"],
    }.isdisjoint(trained)
