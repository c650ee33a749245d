"""Values live in YAML, types in signatures: every key is a constructor's parameter."""

import inspect
from pathlib import Path

import pytest
import yaml

from robot.perception.head.mask_head import MaskHead

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "mask_head").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_key_of_a_mask_head_is_a_parameter_and_builds_one(path):
    values = yaml.safe_load(path.read_text())
    if values.pop("kind", "mask_head") != "mask_head":
        pytest.skip("not the small head: tests/test_configs.py")
    assert set(values) <= set(inspect.signature(MaskHead).parameters)
    MaskHead(**values)
