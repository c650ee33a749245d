"""Every option of a composed config against the YAML files that it was composed from, before
anything that takes seconds is imported: what each may be is read off its default.

An option keeps its kind (text, whole number, list, ...), has no value, or an empty list, only
where that is its default or listed here, and a number is finite, not negative, and above 0 unless
0 is its default or the option is listed here. What depends on
more than one option, or on what is registered, is checked where the config is parsed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from robot.errors import InputError, one_of

MAY_BE_NULL = frozenset(
    ("compare", "head", "head_start", "headline_scene", "jitter", "quality", "witness_steps")
    + ("checkpoint", "deployment", "device", "frozen_after", "goal", "server", "speed")
    + ("token", "suite", "viewer", "benchmark", "view", "relocate")
)
MAY_BE_EMPTY = frozenset({"faults", "mask_scenes"})  # beside what is empty by default
MAY_BE_MIXED = frozenset({"sources"})  # numbers and text
MAY_REPEAT = frozenset(
    ("blocks", "faults", "grip_position_m", "widths", "workspace_high_m", "workspace_low_m")
)
MAY_BE_SEVERAL = frozenset({"scene", "task"})  # text, or a list of it
# Sections that take keys which no YAML file lists, or lose some: names that a person chooses,
# shares of what is registered, and keywords that a type or a constructor checks.
OPEN = frozenset(
    ("arms", "augment", "calibrations", "cameras", "deployment", "driver", "env", "images", "kinds")
    + ("mask_training", "scenes", "train", "training", "settings")
)
MAY_BE_ZERO = frozenset(  # beside what is 0 by default; every other number is above 0
    (
        "absent_share",
        "backgrounds",
        "brightness",
        "coarse_weight",
        "contrast",
        "corrupted",
    )
    + ("dilation", "dropout", "ema_decay", "ensemble_decay", "eta", "fault_share", "fill")
    + ("hue_share",)
    + ("iou_weight", "keep", "lora_dropout", "machine_weight", "noise", "offset")
    + ("presence_weight", "ring", "samples", "saturation", "seed", "share", "shift", "threshold")
    + ("tint", "trusted_weight", "warmup_steps", "weight_decay", "calls", "pixels", "port")
    + ("blend_steps", "hand_over_s")
    + ("black_level", "left", "rotate", "source", "sources", "top", "view")
    + ("confirm_button", "failure_button", "success_button", "take_over_button")
)
# in units of a driver, or coordinates: they may be negative
ANY_NUMBER = frozenset(
    ("grip_position_m", "grip_yaw_rad", "settings", "workspace_high_m", "workspace_low_m")
    + ("x_m", "y_m")
)
SCENES = frozenset({"headline_scene", "mask_scenes", "scene", "scenes"})
# sections whose numbers may all be 0: shares, and places in a device's own counting
FROM_ZERO = frozenset({"axes", "buttons", "kinds", "scenes"})
HIGHEST_SEED = 2**32 - 1
HIGHEST = 2**53  # of any other number: beyond it they are no longer exact


def check_options(values: Any, *, default: Any) -> None:
    """Raise InputError for the first option that cannot be what it is, whatever the others are.

    Both are composed of the same groups, as plain values; interpolations are resolved.
    """
    _check(values, default, path=())


def check_names(values: Any, *, path: tuple[str, ...] = ()) -> None:
    """Raise InputError for a scene, a robot, a mode of Weights & Biases or a run's name that is
    none: what can be said without importing torch or a simulator.
    """
    from robot.envs.libero.names import SCENES as LIBERO_SCENES
    from robot.envs.robots import check_robot
    from robot.envs.tabletop.conditions import condition
    from robot.system.parse import folder_name
    from robot.train.log import check_mode

    for name, value in values.items():
        if isinstance(value, Mapping) and name != "scenes":
            check_names(value, path=(*path, str(name)))
        elif value is None:
            continue
        elif name in SCENES:
            for scene in [value] if isinstance(value, str) else value:
                if scene not in LIBERO_SCENES:  # which of the two a task has is checked with it
                    condition(scene)
        elif name == "robot":
            check_robot(str(value))
        elif name == "wandb":
            check_mode(str(value))
        elif name == "name" and not path:
            folder_name(str(value))


def _check(now: Any, was: Any, *, path: tuple[str, ...]) -> None:
    key, name = ".".join(path), path[-1] if path else ""
    if isinstance(now, Mapping):
        if was is not None and not isinstance(was, Mapping):
            raise _other_kind(key, now, was)
        _check_section(now, was if isinstance(was, Mapping) else None, path=path)
    elif now is None:
        if was is not None and name not in MAY_BE_NULL:
            expected = "a value" if was == "???" else _example(key, was)
            raise InputError(f"got {key}=null, expected {expected}; set it")
    else:
        if was not in (None, "???") and _kind(now) != _kind(was) and not _widened(now, was, name):
            raise _other_kind(key, now, was)
        _check_value(now, was, path=path)


def _check_section(
    now: Mapping[str, Any], was: Mapping[str, Any] | None, *, path: tuple[str, ...]
) -> None:
    is_open = was is None or bool(path and (OPEN & set(path)))
    if was is not None and not is_open:
        if unknown := sorted(set(now) - set(was)):
            key = ".".join((*path, unknown[0]))
            known = one_of(unknown[0], sorted(map(str, was)), do="correct the name")
            raise InputError(f"got {key}, which the config does not have, {known}")
        if missing := sorted(set(was) - set(now)):
            raise InputError(
                f"got no {'.'.join((*path, missing[0]))}, expected a value; do not remove it"
            )
    for name, value in now.items():
        _check(value, None if was is None else was.get(name), path=(*path, str(name)))


def _check_value(value: Any, was: Any, *, path: tuple[str, ...]) -> None:
    key, name = ".".join(path), path[-1]
    if isinstance(value, list):
        _check_list(value, path=path, may_be_empty=was == [])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) > HIGHEST:
            raise InputError(f"got {key}={value}, expected a finite number; correct it")
        may_be_zero = was == 0 or name in MAY_BE_ZERO or bool(FROM_ZERO & set(path))
        if ANY_NUMBER & set(path):
            return
        if value < 0 or (value == 0 and not may_be_zero):
            counts = isinstance(value if was in (None, "???") else was, int)
            above = "at least 1" if counts else "above 0"
            bound = "0 or above" if may_be_zero else above
            raise InputError(f"got {key}={value}, expected {bound}; raise it")
        if name == "seed" and value > HIGHEST_SEED:
            raise InputError(f"got {key}={value}, expected at most {HIGHEST_SEED}; lower it")


def _check_list(value: Sequence[Any], *, path: tuple[str, ...], may_be_empty: bool) -> None:
    key, name = ".".join(path), path[-1]
    if not value and not may_be_empty and name not in MAY_BE_EMPTY:
        raise InputError(f"got {key}=[], expected at least one; add one, or leave {key} out")
    repeated = [item for item in value if value.count(item) > 1]
    if repeated and name not in MAY_REPEAT:
        raise InputError(f"got {key} with {repeated[0]} twice, expected each once; drop one")
    for item in value:
        if item is None:
            raise InputError(f"got {key}={value}, expected no null in it; drop it")
        if isinstance(item, Mapping):
            _check_section(item, None, path=path)
        else:
            _check_value(item, None, path=path)
    if len({_kind(item) for item in value}) > 1 and name not in MAY_BE_MIXED:
        raise InputError(f"got {key}={value}, expected items of one kind; correct it")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a section"


def _widened(now: Any, was: Any, name: str) -> bool:
    """Return whether another kind stands for the default's: 1 for 1.0, 5 for a name."""
    if isinstance(was, str):
        return _kind(now) in ("a whole number", "a number") or (
            isinstance(now, list) and name in MAY_BE_SEVERAL
        )
    return isinstance(was, float) and _kind(now) == "a whole number"


def _other_kind(key: str, now: Any, was: Any) -> InputError:
    return InputError(f"got {key}={now}, expected {_example(key, was)}")


def _example(key: str, was: Any) -> str:
    if isinstance(was, Mapping):
        return f"a section with {', '.join(map(str, was))}"
    if isinstance(was, list):
        return f"a list such as '{key}=[{','.join(map(str, was))}]'"  # the shell splits brackets
    return f"{_kind(was)} such as {key}={was}"
