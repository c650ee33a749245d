"""What a comparison is: the sections of configs/train_policy.yaml as frozen types, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robot.experiment.options import CommonOptions, common_section
from robot.experiment.options import Data as Data
from robot.experiment.options import Evaluation as Evaluation
from robot.experiment.options import Quality as Quality
from robot.experiment.options import Wandb as Wandb
from robot.perception.head.base import Head
from robot.system.parse import options, parse
from robot.train.demonstration_discriminator import Scoring


@options
class Common(CommonOptions):
    """What all arms of a comparison share, complete."""

    scoring: Scoring


def common_of(config: Mapping[str, Any]) -> Common:
    """Parse what the arms share from a command's resolved config."""
    scoring = {name: value for name, value in config["scoring"].items() if name != "horizon"}
    return parse(
        Common,
        common_section(config) | {"scoring": scoring | {"head": Head.resolve(scoring["head"])}},
    )
