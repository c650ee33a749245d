"""What a person at the arm wants right now, as the loop asks for it once per control step."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from robot.hardware.teleop.operator import Button, action_of
from robot.hardware.teleop.operator import Operator as Device


@dataclass(frozen=True)
class Intent:
    """What a person wants in one control step. `jog` is the action of the env API that he gives
    while he has taken over, None where the policy drives.
    """

    estop: bool = False
    release: bool = False  # of the e-stop
    jog: Float32[np.ndarray, " a"] | None = None
    goal: str | None = None  # a new one
    ends: bool = False  # this episode
    success: bool | None = None  # what he says of it, where he ends it
    quits: bool = False


NOTHING = Intent()


class Operator(Protocol):
    """Asked in every control step; answers at once."""

    def poll(self) -> Intent: ...

    def begins(self, *, gripper: float) -> None:
        """Begin an episode with the gripper this far open, 0 to 1."""
        ...

    def close(self) -> None: ...


class Person:
    """A person with a device in his hands: takes over, corrects, hands back. Where he `drives` he
    has the arm from the beginning, as for demonstrations.
    """

    def __init__(self, device: Device, *, control_dt_s: float, drives: bool = False) -> None:
        self._device, self._dt_s, self._drives = device, control_dt_s, drives
        self._has, self._gripper = drives, 1.0

    def poll(self) -> Intent:
        found = self._device.poll()
        pressed = found.buttons
        if Button.TAKE_OVER in pressed:
            self._has = True
        if Button.HAND_BACK in pressed:
            self._has = self._drives
        ends = bool(pressed & {Button.SUCCESS, Button.FAILURE})
        jog = None
        if self._has:
            jog = action_of(found, control_dt_s=self._dt_s, gripper=self._gripper)
            self._gripper = float(jog[-1])
        return Intent(
            estop=Button.STOP in pressed,
            release=Button.CONFIRM in pressed,
            jog=jog,
            ends=ends,
            success=Button.SUCCESS in pressed if ends else None,
        )

    def begins(self, *, gripper: float) -> None:
        """Begin an episode: the gripper's target is where it is."""
        self._has, self._gripper = self._drives, gripper

    def close(self) -> None:
        self._device.close()


class Nobody:
    """No person: for scripts and tests."""

    def poll(self) -> Intent:
        return NOTHING

    def begins(self, *, gripper: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """A person who types lines: an empty one is the e-stop, `go` releases it, `done` and `failed`
    end the episode, `quit` ends the run, anything else is a new goal.
    """

    HELP = (
        "Enter: e-stop · go: release it · done, failed: end the episode · quit · "
        "anything else: a new goal"
    )

    def __init__(self, stream: Iterable[str] = sys.stdin) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="operator", daemon=True).start()

    def poll(self) -> Intent:
        try:
            line = self._lines.get_nowait()
        except queue.Empty:
            return NOTHING
        match " ".join(line.split()):
            case "":
                return Intent(estop=True)
            case "go":
                return Intent(release=True)
            case "done":
                return Intent(ends=True, success=True)
            case "failed":
                return Intent(ends=True, success=False)
            case "quit":
                return Intent(quits=True)
            case goal:
                return Intent(goal=goal)

    def begins(self, *, gripper: float) -> None:
        """Do nothing: what was typed before still counts."""

    def close(self) -> None:
        """Leave the thread behind: it waits for a line that may never come."""

    def _read(self) -> None:
        for line in self._stream:
            self._lines.put(line)
