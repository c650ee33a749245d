"""What bytes of a terminal are as keys, and what keys are as motion; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from robot.errors import InputError
from robot.hardware.teleop.operator import AXES, Button, OperatorInput
from robot.system.parse import Positive, options

ESCAPE = "escape"
ALWAYS_STOP = (" ", ESCAPE)  # whatever the config says
LETTERS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # of an arrow's escape sequence
MOTIONS = tuple(f"{axis}_{side}" for axis in AXES for side in ("plus", "minus"))
GRIPPERS = {"gripper_open": 1.0, "gripper_close": 0.0}


@options
class KeyboardOptions:
    """configs/teleop/keyboard.yaml, less its kind."""

    linear_m_s: Positive
    angular_rad_s: Positive
    hold_s: Positive  # that a key counts as held after each time it comes
    keys: Mapping[str, str]  # what -> key

    def __post_init__(self) -> None:
        known = {*MOTIONS, *GRIPPERS, *(button.value for button in Button)}
        if unknown := sorted(set(self.keys) - known):
            raise InputError(
                f"got teleop.keys.{unknown[0]}, expected some of {', '.join(sorted(known))}; "
                "correct the name"
            )
        keys = list(self.keys.values())
        twice = [key for key in keys if keys.count(key) > 1]
        taken = [key for key in keys if key in ALWAYS_STOP and self.keys.get("stop") != key]
        if twice or taken:
            raise InputError(
                f"got key {(twice or taken)[0]!r} for more than one thing in teleop.keys (space "
                "and escape always stop), expected one each; choose another key"
            )


@dataclass(frozen=True)
class Pressed:
    """What has been typed so far."""

    held: Mapping[str, float] = field(default_factory=dict)  # motion -> when its key came last
    gripper: float | None = None
    buttons: frozenset[Button] = frozenset()  # not polled yet

    def with_key(self, key: str, *, time_s: float, options: KeyboardOptions) -> Pressed:
        """Add a key; the opposite motion ends."""
        if stops(key, options=options):
            return self.stopped()
        what = next((what for what, own in options.keys.items() if own == key), None)
        if what is None:
            return self
        if what in GRIPPERS:
            return replace(self, gripper=GRIPPERS[what])
        if what in MOTIONS:
            axis, _, side = what.rpartition("_")
            opposite = f"{axis}_{'minus' if side == 'plus' else 'plus'}"
            held = {name: at for name, at in self.held.items() if name != opposite}
            return replace(self, held={**held, what: time_s})
        return replace(self, buttons=self.buttons | {Button(what)})

    def stopped(self) -> Pressed:
        """Press STOP: all motion ends."""
        return replace(self, held={}, buttons=self.buttons | {Button.STOP})

    def polled(self) -> Pressed:
        """Forget the buttons, which have been given to someone."""
        return replace(self, buttons=frozenset())

    def as_input(self, *, time_s: float, options: KeyboardOptions) -> OperatorInput:
        """Return what a person does at `time_s`."""
        velocity = np.zeros(6)
        for motion, at_s in self.held.items():
            if time_s - at_s <= options.hold_s:
                axis, _, side = motion.rpartition("_")
                number = AXES.index(axis)
                speed = options.linear_m_s if number < 3 else options.angular_rad_s
                velocity[number] = speed if side == "plus" else -speed
        return OperatorInput(time_s, velocity, self.gripper, self.buttons)


def stops(key: str, *, options: KeyboardOptions) -> bool:
    """Return whether a key is the e-stop."""
    return key in ALWAYS_STOP or options.keys.get(Button.STOP.value) == key


def keys_of(data: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return the keys in what a terminal sent, and the beginning of an escape sequence at its end,
    which more bytes may complete.

    Characters are themselves, arrows `up`, `down`, `left`, `right`, Return `enter`. A bare escape,
    and one before a character (Alt), is `escape`; other sequences are nothing.
    """
    text = data.decode("utf-8", errors="ignore")
    keys: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\x1b":
            keys.append("enter" if text[at] in "\r\n" else text[at])
            at += 1
            continue
        if at + 1 == len(text):
            return tuple(keys), b"\x1b"
        if text[at + 1] not in "[O":
            keys.append(ESCAPE)
            at += 1
            continue
        end = at + 2
        if text[at + 1] == "[":
            while end < len(text) and not "@" <= text[end] <= "~":
                end += 1
        if end >= len(text):
            if " " in text[at:]:
                return (*keys, " "), b""
            return tuple(keys), text[at:].encode()
        if (key := LETTERS.get(text[end])) is not None:
            keys.append(key)
        # a space within is no part of any sequence that a keyboard sends: it is the e-stop
        keys += [" "] * text[at : end + 1].count(" ")
        at = end + 1
    return tuple(keys), b""
