"""A 3Dconnexion SpaceMouse, read as a HID: no driver of its maker's.

Reports, as libspnav and PySpaceMouse read them too (a report's number, then little-endian int16):
    1  x y z               then 2  rx ry rz     older wired models
    1  x y z rx ry rz                           wireless, Compact, Pro, Enterprise
    3  a bit per button
The cap's axes are right, towards the person, down; a full deflection is about 350.
"""

from __future__ import annotations

import importlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from robot.errors import InputError
from robot.hardware.teleop.motion import shaped
from robot.hardware.teleop.operator import Button, OperatorError, OperatorInput
from robot.system.parse import NotNegative, Positive, Share, options

FULL = 350.0  # of a deflection
LOGITECH, OWN = 0x046D, 0x256F  # vendors: models until 2012, and since
# of Logitech's products those that are 3-D mice
OLD_PRODUCTS = frozenset(
    (0xC603, 0xC605, 0xC606, 0xC621, 0xC623, 0xC625, 0xC626, 0xC627, 0xC628, 0xC629, 0xC62B)
)
MULTI_AXIS = (0x01, 0x08)  # HID usage page and usage of the interface that moves
# cap (right, towards the person, down) -> the arm's base (away, left, up), seen from behind it
T_BASE_CAP = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
STOP_BUTTONS = frozenset({0, 1})  # together
ENDING = frozenset({Button.STOP, Button.SUCCESS, Button.FAILURE})  # afterwards nobody has the arm
SILENT_S = 0.5  # a model that is let go sends zeros; one that sends nothing is not held


@options
class SpaceMouseOptions:
    """configs/teleop/spacemouse.yaml, less its kind."""

    linear_m_s: Positive
    angular_rad_s: Positive
    dead_zone: Share
    gripper_button: NotNegative | None
    take_over_button: NotNegative | None
    confirm_button: NotNegative | None
    success_button: NotNegative | None
    failure_button: NotNegative | None


@dataclass(frozen=True)
class Cap:
    """What the reports so far say: deflections in [-1, 1] in the cap's axes, buttons held."""

    translation: Float64[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    rotation: Float64[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    buttons: frozenset[int] = frozenset()


def with_report(cap: Cap, report: bytes) -> Cap:
    """Return the cap after one more report; one that is unknown or cut off changes nothing."""
    number, data = (report[0], report[1:]) if report else (0, b"")
    if number == 1 and len(data) >= 12:
        six = _deflections(data, 6)
        return replace(cap, translation=six[:3], rotation=six[3:])
    if number == 1 and len(data) >= 6:
        return replace(cap, translation=_deflections(data, 3))
    if number == 2 and len(data) >= 6:
        return replace(cap, rotation=_deflections(data, 3))
    if number == 3 and data:
        bits = int.from_bytes(data[:6], "little")
        return replace(cap, buttons=frozenset(k for k in range(48) if bits >> k & 1))
    return cap


def velocity_of(cap: Cap, options: SpaceMouseOptions) -> Float64[np.ndarray, "6"]:
    """Return the velocity in the arm's base frame, m/s and rad/s, for a person behind the arm."""
    return np.concatenate(
        [
            options.linear_m_s * T_BASE_CAP @ shaped(cap.translation, dead_zone=options.dead_zone),
            options.angular_rad_s * T_BASE_CAP @ shaped(cap.rotation, dead_zone=options.dead_zone),
        ]
    )


@dataclass(frozen=True)
class Toggles:
    """What one button does by turns."""

    gripper: float | None = None
    has_arm: bool = False


def pressed(
    before: frozenset[int], now: frozenset[int], toggles: Toggles, options: SpaceMouseOptions
) -> tuple[frozenset[Button], Toggles]:
    """Return what a change of buttons means."""
    if now >= STOP_BUTTONS:
        new = not before >= STOP_BUTTONS
        return (frozenset({Button.STOP}) if new else frozenset()), toggles
    buttons = set()
    for number in now - before:
        if number == options.gripper_button:
            toggles = replace(toggles, gripper=1.0 if toggles.gripper == 0.0 else 0.0)
        if number == options.take_over_button:
            buttons.add(Button.HAND_BACK if toggles.has_arm else Button.TAKE_OVER)
            toggles = replace(toggles, has_arm=not toggles.has_arm)
        for own, button in (
            (options.confirm_button, Button.CONFIRM),
            (options.success_button, Button.SUCCESS),
            (options.failure_button, Button.FAILURE),
        ):
            if number == own:
                buttons.add(button)
    return frozenset(buttons), toggles


class SpaceMouseOperator:
    """An `Operator`."""

    help = "SpaceMouse: push and turn the cap; left and right button together stop"

    def __init__(
        self, options: SpaceMouseOptions, *, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self._options, self._on_stop = options, on_stop
        self._device: Any = None
        self._cap, self._toggles = Cap(), Toggles()
        self._heard_s = 0.0

    def connect(self) -> None:
        if self._device is not None:
            return
        hid = require_hidapi()
        found = [entry for entry in hid.enumerate() if is_mouse(entry)]
        if not found:
            raise OperatorError("no SpaceMouse was found; plug it in, or choose another teleop=")
        device = hid.device()
        try:
            device.open_path(found[0]["path"])
            device.set_nonblocking(True)
        except OSError as error:
            raise OperatorError(
                f"the SpaceMouse cannot be opened ({error}); allow it with a udev rule: "
                'KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0666"'
            ) from error
        self._device, self._cap, self._toggles = device, Cap(), Toggles()

    def poll(self) -> OperatorInput:
        now_s = time.monotonic()
        buttons: frozenset[Button] = frozenset()
        try:
            while self._device is not None and (report := self._device.read(64)):
                self._heard_s = now_s
                before = self._cap.buttons
                self._cap = with_report(self._cap, bytes(report))
                new, self._toggles = pressed(
                    before, self._cap.buttons, self._toggles, self._options
                )
                buttons |= new
        except (OSError, ValueError):  # unplugged
            self.close()
            self._cap = Cap()
            buttons |= {Button.STOP}
        if Button.STOP in buttons:
            self._on_stop()
        if buttons & ENDING:
            self._toggles = replace(self._toggles, has_arm=False)
        silent = now_s - self._heard_s > SILENT_S
        velocity = np.zeros(6) if silent else velocity_of(self._cap, self._options)
        return OperatorInput(now_s, velocity, self._toggles.gripper, buttons)

    def close(self) -> None:
        if self._device is not None:
            device, self._device = self._device, None
            device.close()


def is_mouse(entry: dict[str, Any]) -> bool:
    """Return whether an entry of hid.enumerate() is the moving part of a 3-D mouse."""
    usage = entry.get("usage_page"), entry.get("usage")
    if usage not in (MULTI_AXIS, (0, 0)):  # (0, 0): this system does not tell
        return False
    vendor, product = entry["vendor_id"], entry["product_id"]
    return vendor == OWN or (vendor == LOGITECH and product in OLD_PRODUCTS)


def require_hidapi() -> Any:
    """Return hidapi. Raises InputError where it is missing."""
    try:
        return importlib.import_module("hid")
    except ImportError as error:
        raise InputError(
            "got teleop=spacemouse without the package hidapi, expected the extra teleop; run "
            'pip install -e ".[teleop]"'
        ) from error


def _deflections(data: bytes, count: int) -> Float64[np.ndarray, " n"]:
    values = struct.unpack_from(f"<{count}h", data)
    return np.clip(np.array(values, np.float64) / FULL, -1.0, 1.0)
