"""What launch/score_demonstrations.py cannot score, found without torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from robot.envs.registry import check_scene
from robot.errors import InputError
from robot.experiment.early import check_weightings
from robot.experiment.options import Data
from robot.system.parse import parse


def check_scored_data(config: DictConfig) -> None:
    """Raise InputError where there is nothing to score, or it cannot be split into folds."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    check_scene(values["task"], values["scene"])
    data = parse(Data, values["data"], at="data")
    require_machine_demonstrations(data)
    if data.records is not None:
        raise InputError(
            f"got data.records={data.records}, expected null: demonstrations are scored, not "
            "records; leave it out"
        )
    options = cast(Any, SimpleNamespace(**values["scoring"]))
    check_weightings(["dwsl"], data, options, task=values["task"])


def require_machine_demonstrations(data: Data) -> None:
    """Raise InputError where all demonstrations are trusted."""
    if data.quality is None:
        raise InputError(
            "got data without machine demonstrations, expected some to score; pass data=mixed"
        )
