"""The YAML files of configs/policy and configs/train against the signatures that they are values
for.
"""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from robot.policy import POLICIES
from robot.policy.registry import ENCODER_OPTIONS
from robot.train.loop import Training

CONFIGS = Path(__file__).parents[2] / "configs"


def values(group: str, name: str) -> dict:
    with initialize_config_dir(str(CONFIGS / group), version_base="1.3"):
        return OmegaConf.to_container(compose(name))  # type: ignore[return-value]


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("name", names("policy"))
def test_policy_keys_are_options_of_the_encoder_and_of_the_policy(name):
    config = values("policy", name)
    own = set(inspect.signature(POLICIES[config.pop("kind")]).parameters) - {
        "statistics",
        "encoder",
    }
    from_the_demonstrations = {"cameras"}
    assert set(config) == (ENCODER_OPTIONS - from_the_demonstrations) | own


@pytest.mark.parametrize("name", names("train"))
def test_train_keys_are_fields_of_training(name):
    assert set(values("train", name)) == {field.name for field in fields(Training)}
