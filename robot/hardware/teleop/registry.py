"""An operator's device from its section of a config. A new one is one entry of OPERATORS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robot.errors import InputError, one_of
from robot.hardware.teleop.gamepad import GamepadOperator, GamepadOptions, require_pygame
from robot.hardware.teleop.keyboard import KeyboardOperator
from robot.hardware.teleop.keys import KeyboardOptions
from robot.hardware.teleop.operator import Operator
from robot.hardware.teleop.spacemouse import (
    SpaceMouseOperator,
    SpaceMouseOptions,
    require_hidapi,
)
from robot.system.parse import Spec, parse

OPERATORS: dict[str, tuple[type, Callable[..., Operator]]] = {
    "keyboard": (KeyboardOptions, KeyboardOperator),
    "gamepad": (GamepadOptions, GamepadOperator),
    "spacemouse": (SpaceMouseOptions, SpaceMouseOperator),
}
PACKAGES: dict[str, Callable[[], Any]] = {"gamepad": require_pygame, "spacemouse": require_hidapi}


def check_operator(spec: Spec) -> None:
    """Raise InputError for a device that does not exist, whose options are malformed, or whose
    package is missing: before an arm is connected.
    """
    _options_of(spec)
    PACKAGES.get(spec.kind, lambda: None)()


def make_operator(section: Any, *, on_stop: Callable[[], None]) -> Operator:
    """Return the device of a section `{kind: ..., option: value}`, not connected yet. `on_stop` is
    called at once when the e-stop is pressed, from any thread.
    """
    spec = Spec.of(section)
    own = _options_of(spec)
    return OPERATORS[spec.kind][1](own, on_stop=on_stop)


def _options_of(spec: Spec) -> Any:
    if spec.kind not in OPERATORS:
        raise InputError(f"got teleop {spec.kind!r}, {one_of(spec.kind, OPERATORS)}")
    return parse(OPERATORS[spec.kind][0], dict(spec.options), at="teleop")
