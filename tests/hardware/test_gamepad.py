"""The gamepad over pygame against a virtual joystick of SDL's; skipped without the extra teleop."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from robot.hardware.teleop.gamepad import GamepadOperator, GamepadOptions, require_pygame
from robot.hardware.teleop.operator import Button, OperatorError
from robot.system.parse import parse

pytest.importorskip("pygame")

ROOT = Path(__file__).resolve().parents[2]
SECTION = yaml.safe_load((ROOT / "configs" / "teleop" / "gamepad.yaml").read_text())
OPTIONS = parse(GamepadOptions, {k: v for k, v in SECTION.items() if k != "kind"})


class VirtualPad:
    """A pad of SDL's own, as its tests use it: six axes, eleven buttons, a cross."""

    def __init__(self) -> None:
        pygame = require_pygame()
        pygame.display.init()
        pygame.joystick.init()
        # pygame's wheel carries its SDL beside it, loaded by now
        folder = Path(pygame.__file__).parents[1] / "pygame.libs"
        self._sdl = ctypes.CDLL(str(next(folder.glob("libSDL2-2*"))))
        self._sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self.number = self._sdl.SDL_JoystickAttachVirtual(1, 6, 11, 1)
        assert self.number >= 0
        self._stick = ctypes.c_void_p(self._sdl.SDL_JoystickOpen(self.number))

    def push(self, axis: int, value: float) -> None:
        self._sdl.SDL_JoystickSetVirtualAxis(self._stick, axis, ctypes.c_int16(int(32767 * value)))

    def press(self, button: int, *, down: bool) -> None:
        self._sdl.SDL_JoystickSetVirtualButton(self._stick, button, int(down))
        self._sdl.SDL_JoystickUpdate()

    def cross(self, value: int) -> None:
        self._sdl.SDL_JoystickSetVirtualHat(self._stick, 0, value)

    def unplug(self) -> None:
        self._sdl.SDL_JoystickDetachVirtual(self.number)


@pytest.fixture
def pad(monkeypatch) -> Iterator[VirtualPad]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield VirtualPad()
    require_pygame().quit()


def test_sticks_buttons_and_cross_of_a_pad(pad):
    stops: list[int] = []
    operator = GamepadOperator(OPTIONS, on_stop=lambda: stops.append(1))
    operator.connect()
    assert not operator.poll().is_moving  # though axis 4, a trigger here, rests at -1
    pad.push(1, -1.0)
    pad.cross(2)  # right
    np.testing.assert_allclose(operator.poll().velocity, [0.15, 0, 0, 0.6, 0, 0], atol=1e-3)
    pad.push(1, 0.05)  # within the dead zone
    pad.cross(0)
    assert not operator.poll().is_moving
    pad.press(7, down=True)
    pad.press(7, down=False)  # a short press between two polls counts
    assert operator.poll().buttons == {Button.TAKE_OVER}
    assert operator.poll().buttons == frozenset()
    pad.press(5, down=True)
    assert operator.poll().gripper == 0.0
    pad.press(1, down=True)
    assert operator.poll().buttons == {Button.STOP} and stops == [1]
    operator.close()
    operator.close()


def test_a_pad_that_is_unplugged_stops(pad):
    stops: list[int] = []
    operator = GamepadOperator(OPTIONS, on_stop=lambda: stops.append(1))
    operator.connect()
    operator.poll()
    pad.push(1, -1.0)
    assert operator.poll().is_moving
    pad.unplug()
    lost = operator.poll()
    assert lost.buttons == {Button.STOP} and not lost.is_moving and stops == [1]
    assert not operator.poll().is_moving and stops == [1]
    operator.close()


def test_no_pad_is_one_sentence():
    with pytest.raises(OperatorError, match=r"gamepad 0 was not found \(there are 0\)"):
        GamepadOperator(OPTIONS).connect()
    assert os.environ["SDL_VIDEODRIVER"]
