"""The YAML files of configs/policy and configs/train against the signatures that they are values
for.
"""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from robot.policy.registry import ENCODER_OPTIONS
from robot.train.loop import train

CONFIGS = Path(__file__).parents[2] / "configs"
FROM_THE_COMMAND = {"module", "batches", "generator", "checkpoint_dir", "log"}


def values(group: str, name: str) -> dict:
    with initialize_config_dir(str(CONFIGS / group), version_base="1.3"):
        return OmegaConf.to_container(compose(name))  # type: ignore[return-value]


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("name", names("policy"))
def test_policy_keys_are_options_of_the_encoder_and_of_the_policy(name):
    config = values("policy", name)
    policy_class = get_class(config.pop("_target_"))
    own = set(inspect.signature(policy_class).parameters) - {"statistics", "encoder"}
    assert set(config) == ENCODER_OPTIONS | own


@pytest.mark.parametrize("name", names("train"))
def test_train_keys_are_parameters_of_the_loop(name):
    assert set(values("train", name)) == set(inspect.signature(train).parameters) - FROM_THE_COMMAND
