"""A gamepad over pygame (SDL): sticks and cross move, buttons do the rest."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from robot.errors import InputError
from robot.hardware.teleop.motion import shaped
from robot.hardware.teleop.operator import AXES, Button, OperatorError, OperatorInput
from robot.system.parse import NotNegative, Positive, Share, options

GRIPPERS = {"gripper_open": 1.0, "gripper_close": 0.0}


@options
class GamepadOptions:
    """configs/teleop/gamepad.yaml, less its kind."""

    device: NotNegative
    linear_m_s: Positive
    angular_rad_s: Positive
    dead_zone: Share
    axes: Mapping[str, NotNegative]  # motion -> number of an axis
    inverted: Sequence[str]
    buttons: Mapping[str, NotNegative]  # what -> number of a button

    def __post_init__(self) -> None:
        known = {*GRIPPERS, *(button.value for button in Button)}
        for section, names, expected in (
            ("axes", set(self.axes), set(AXES)),
            ("inverted", set(self.inverted), set(self.axes)),
            ("buttons", set(self.buttons), known),
        ):
            if unknown := sorted(names - expected):
                raise InputError(
                    f"got {unknown[0]} in teleop.{section}, expected some of "
                    f"{', '.join(sorted(expected))}; correct the name"
                )
        if Button.STOP.value not in self.buttons:
            raise InputError(
                "got teleop.buttons without stop, expected a button for the e-stop; add one"
            )


@dataclass(frozen=True)
class Pad:
    """Sticks and cross of a gamepad at one instant."""

    axes: tuple[float, ...]  # -1 .. 1
    hat: tuple[int, int] = (0, 0)  # the cross: right and up are 1


def velocity_of(pad: Pad, options: GamepadOptions) -> Float64[np.ndarray, "6"]:
    """Return the velocity in the arm's base frame, m/s and rad/s. A stick that the pad does not
    have is at rest.
    """
    deflection = np.zeros(6)
    for name, number in options.axes.items():
        value = pad.axes[number] if number < len(pad.axes) else 0.0
        deflection[AXES.index(name)] = -value if name in options.inverted else value
    velocity = shaped(deflection, dead_zone=options.dead_zone)
    right, up = pad.hat
    velocity[3] += right  # to the right: clockwise, seen from behind the arm
    velocity[4] += up  # up: the top tips away from the base
    velocity = np.clip(velocity, -1.0, 1.0)
    return velocity * np.repeat([options.linear_m_s, options.angular_rad_s], 3)


def at_rest(pad: Pad, *, dead_zone: float) -> frozenset[int]:
    """Return the numbers of the axes that are within the dead zone."""
    return frozenset(k for k, value in enumerate(pad.axes) if abs(value) <= dead_zone)


class GamepadOperator:
    """An `Operator`; connect and poll it in one thread.

    An axis counts from when it has first been at rest: the trigger of a pad that numbers its axes
    otherwise, which rests at -1, moves nothing.
    """

    def __init__(
        self, options: GamepadOptions, *, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self._options, self._on_stop = options, on_stop
        self._pygame: Any = None
        self._joystick: Any = None
        self._rested: frozenset[int] = frozenset()  # axes that have been at rest
        self._gripper: float | None = None
        names = ", ".join(f"{number} {name}" for name, number in options.buttons.items())
        self.help = f"gamepad: sticks and cross move; buttons {names}"

    def connect(self) -> None:
        if self._joystick is not None:
            return
        pygame = require_pygame()
        pygame.display.init()  # SDL delivers a pad's events with those of its (dummy) display
        pygame.joystick.init()
        if self._options.device >= (count := pygame.joystick.get_count()):
            pygame.quit()
            raise OperatorError(
                f"gamepad {self._options.device} was not found (there are {count}); plug it in, or "
                "choose another teleop="
            )
        self._pygame = pygame
        self._joystick = pygame.joystick.Joystick(self._options.device)
        self._gripper = None
        self._rested = frozenset()
        pygame.event.clear()

    def poll(self) -> OperatorInput:
        now_s = time.monotonic()
        if self._joystick is None:
            return OperatorInput(now_s, gripper=self._gripper)
        names: set[str] = set()
        for event in self._pygame.event.get():  # a press and its release between two polls count
            if not self._is_own(event):
                continue
            if event.type == self._pygame.JOYBUTTONDOWN:
                names |= {n for n, k in self._options.buttons.items() if k == event.button}
            if event.type == self._pygame.JOYDEVICEREMOVED:
                names.add(Button.STOP.value)
                self._forget()
        for name, target in GRIPPERS.items():
            if name in names:
                self._gripper = target
        buttons = frozenset(Button(name) for name in names - set(GRIPPERS))
        if Button.STOP in buttons:
            self._on_stop()
        velocity = velocity_of(self._usable(self._read()), self._options)
        return OperatorInput(now_s, velocity, self._gripper, buttons)

    def close(self) -> None:
        if self._pygame is not None:
            self._forget()
            self._pygame.quit()
            self._pygame = None

    def _usable(self, pad: Pad) -> Pad:
        self._rested |= at_rest(pad, dead_zone=self._options.dead_zone)
        axes = (value if k in self._rested else 0.0 for k, value in enumerate(pad.axes))
        return Pad(tuple(axes), pad.hat)

    def _is_own(self, event: Any) -> bool:
        return self._joystick is not None and event.instance_id == self._joystick.get_instance_id()

    def _forget(self) -> None:
        if self._joystick is not None:
            self._joystick.quit()
            self._joystick = None

    def _read(self) -> Pad:
        if self._joystick is None:
            return Pad(())
        stick = self._joystick
        return Pad(
            axes=tuple(stick.get_axis(k) for k in range(stick.get_numaxes())),
            hat=stick.get_hat(0) if stick.get_numhats() else (0, 0),
        )


def require_pygame() -> Any:
    """Return pygame, which needs no display here. Raises InputError where it is missing."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    try:
        return importlib.import_module("pygame")
    except ImportError as error:
        raise InputError(
            "got teleop=gamepad without the package pygame, expected the extra teleop; run "
            'pip install -e ".[teleop]"'
        ) from error
