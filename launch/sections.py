"""The sections of a composed config, whatever command it is for: what each of them may hold is
found by its name, before torch is imported, which takes seconds.

What depends on several sections is checked by the commands themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from robot.checkpoint import resolve_checkpoint
from robot.envs.make import EnvOptions
from robot.envs.registry import check_task
from robot.errors import InputError, one_of
from robot.experiment.early import check_head_options, check_label_discriminator, check_sizes
from robot.experiment.options import Data, Quality
from robot.perception.names import (
    SOURCES,
    check_deployment,
    check_deployment_section,
    resolve_head,
)
from robot.rollout.corrupt import Mixture
from robot.system.device_name import check_device
from robot.system.parse import NotNegativeNumber, Spec, options, parse
from robot.train.options import Augmentation, Training
from robot.weightings import check_rule, check_weighting

PUBLISHED_HEAD = "ivm_sam_llava"
Check = Callable[[Any, str], None]  # (value, its key)


@options
class _Decay:
    ensemble_decay: NotNegativeNumber


def check_sections(values: Mapping[str, Any], *, path: tuple[str, ...] = ()) -> None:
    """Raise InputError for the first section or name that is invalid, whatever the others are."""
    for name, value in values.items():
        here = (*path, str(name))
        if value is None:
            continue
        if (check := CHECKS.get(str(name))) is not None:
            check(value, ".".join(here))
        if isinstance(value, Mapping) and name != "arms":  # checked with what they inherit
            check_sections(value, path=here)


def _training(value: Any, key: str) -> None:
    check_device(parse(Training, value, at=key).device)


def _augmentation(value: Any, key: str) -> None:
    parse(Augmentation, value, at=key)


def _env(value: Any, key: str) -> None:
    parse(EnvOptions, value, at=key)


def _data(value: Any, key: str) -> None:
    parse(Data, value, at=key)


def _quality(value: Any, key: str) -> None:
    # beside demonstrations it says how many there are
    parse(Quality if "." in key else Mixture, value, at=key)


def _deployment(value: Any, key: str) -> None:
    if isinstance(value, str):
        check_deployment(value, {})
    else:
        check_deployment_section(value)


def _policy(value: Any, key: str) -> None:
    if isinstance(value, Mapping) and "kind" in value:
        check_sizes(Spec.of(value), at=key)


def _mask_head(value: Any, key: str) -> None:
    head = Spec.of(value)
    if head.kind != PUBLISHED_HEAD:  # whose weights not every command needs
        check_head_options(head)


def _discriminator(value: Any, key: str) -> None:
    if isinstance(value, Mapping) and "kind" in value:
        check_label_discriminator(Spec.of(value), at=key)


def _masks(value: Any, key: str) -> None:
    if isinstance(value, str) and value not in SOURCES:  # the published head counts its masks
        raise InputError(f"got {key}={value}, {one_of(value, SOURCES)}")


def _tasks(value: Any, key: str) -> None:
    if key.rpartition(".")[0] not in ("", "evaluation"):
        return  # those of mask frames are fewer: robot.experiment.collect
    for task in value.split(",") if isinstance(value, str) else value:
        check_task(task)


def _decay(value: Any, key: str) -> None:
    parse(_Decay, {"ensemble_decay": value}, at=key.rpartition(".")[0])


def _checkpoint(value: Any, key: str) -> None:
    resolve_checkpoint(value)


def _head(value: Any, key: str) -> None:
    resolve_head(value)


def _rule(value: Any, key: str) -> None:
    check_rule(value)


def _weighting(value: Any, key: str) -> None:
    check_weighting(value)


CHECKS: dict[str, Check] = {
    "augment": _augmentation,
    "checkpoint": _checkpoint,
    "data": _data,
    "deployment": _deployment,
    "discriminator": _discriminator,
    "ensemble_decay": _decay,
    "env": _env,
    "head": _head,
    "head_start": _head,
    "mask_head": _mask_head,
    "mask_training": _training,
    "masks": _masks,
    "policy": _policy,
    "quality": _quality,
    "rule": _rule,
    "task": _tasks,
    "tasks": _tasks,
    "train": _training,
    "training": _training,
    "weighting": _weighting,
}
