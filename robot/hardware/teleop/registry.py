"""An operator's device from its section of a config. A new one is one entry of OPERATORS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robot.errors import InputError
from robot.hardware.teleop.gamepad import GamepadOperator, GamepadOptions
from robot.hardware.teleop.keyboard import KeyboardOperator
from robot.hardware.teleop.keys import KeyboardOptions
from robot.hardware.teleop.operator import Operator
from robot.hardware.teleop.spacemouse import SpaceMouseOperator, SpaceMouseOptions
from robot.system.parse import Spec, parse

OPERATORS: dict[str, tuple[type, Callable[..., Operator]]] = {
    "keyboard": (KeyboardOptions, KeyboardOperator),
    "gamepad": (GamepadOptions, GamepadOperator),
    "spacemouse": (SpaceMouseOptions, SpaceMouseOperator),
}


def make_operator(section: Any, *, on_stop: Callable[[], None]) -> Operator:
    """Return the device of a section `{kind: ..., option: value}`, not connected yet. `on_stop` is
    called at once when the e-stop is pressed, from any thread.
    """
    spec = Spec.of(section)
    if spec.kind not in OPERATORS:
        raise InputError(
            f"got teleop {spec.kind!r}, expected one of {', '.join(OPERATORS)}; choose one of these"
        )
    options, operator = OPERATORS[spec.kind]
    return operator(parse(options, dict(spec.options), at="teleop"), on_stop=on_stop)
