"""Names that are checked without torch are those of the registries that build with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any, get_args, get_type_hints

import pytest

from robot.dwsl import WEIGHTINGS
from robot.perception import names
from robot.perception.head.base import HEADS
from robot.perception.registry import DEPLOYMENTS, DISCRIMINATORS, FAULTS
from robot.policy import POLICIES, denoiser, sizes
from robot.policy.normalize import unit_statistics
from robot.policy.registry import make_policy
from robot.system.device_name import PRECISIONS
from robot.train.options import Training
from robot.types import InputError
from robot.weightings import NEED_SCORES, WEIGHTING_NAMES

POLICY = {"cameras": 1, "image_size": 16, "width": 8, "layers": 1, "keypoints": 2, "dim": 16}
POLICY |= {"depth": 1, "horizon": 4}


def test_deployments_and_their_options():
    made = {name: tuple(f.name for f in fields(cls)) for name, cls in DEPLOYMENTS.items()}
    assert made == names.DEPLOYMENT_OPTIONS


def test_mask_faults_and_their_options():
    own = {
        name: set(signature(cls).parameters) - {"source", "rng", "labels"}
        for name, cls in FAULTS.items()
    }
    assert own == {name: set(options) for name, options in names.FAULT_OPTIONS.items()}


def test_kinds_of_networks():
    assert tuple(HEADS) == names.HEAD_KINDS
    assert tuple(DISCRIMINATORS) == names.DISCRIMINATOR_KINDS
    assert tuple(POLICIES) == sizes.KINDS
    assert tuple(denoiser.DENOISERS) == sizes.DENOISERS


def test_weightings_and_precisions():
    assert tuple(WEIGHTINGS) == WEIGHTING_NAMES and set(NEED_SCORES) <= set(WEIGHTING_NAMES)
    assert get_args(get_type_hints(Training)["precision"]) == PRECISIONS


@pytest.mark.parametrize("kind", ["diffusion", "flow", "transformer", "unet"])
@pytest.mark.parametrize("option", ["dim", "width", "depth", "horizon", "image_size", "stride"])
def test_sizes_that_pass_are_built_and_others_are_not(kind, option):
    name = "flow" if kind == "unet" else kind
    unet = {"denoiser": "unet", "vision": "cnn"} if kind == "unet" else {}
    statistics = unit_statistics(action=1, proprio=1)
    passed, built = (
        [v for v in (1, 2, 3, 6, 7, 8, 12, 20) if accepts(make, POLICY | unet | {option: v})]
        for make in (
            lambda options: sizes.check_policy(name, options),
            lambda options: make_policy(name, statistics=statistics, options=options),
        )
    )
    assert passed == built != []


def accepts(make: Callable[[dict[str, Any]], object], options: dict[str, Any]) -> bool:
    try:
        make(options)
    except InputError:
        return False
    return True
