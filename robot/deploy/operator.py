"""What a person at the arm wants right now, as the loop asks for it once per control step."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from robot.hardware.teleop.operator import Button, action_of
from robot.hardware.teleop.operator import Operator as Device
from robot.types import Region


@dataclass(frozen=True)
class Intent:
    """What a person wants in one control step. `jog` is the action of the env API that he gives
    while he has taken over, None where the policy drives.
    """

    estop: bool = False
    release: bool = False  # of the e-stop
    jog: Float32[np.ndarray, " a"] | None = None
    goal: str | None = None  # a new one
    regions: tuple[Region, ...] = ()  # of the new goal
    ends: bool = False  # this episode
    success: bool | None = None  # what he says of it, where he ends it
    quits: bool = False


NOTHING = Intent()
ASK_S = 0.02  # between two looks at a device while a question is open


class Operator(Protocol):
    """Asked in every control step; answers at once."""

    def poll(self, *, gripper: float) -> Intent:
        """Return what the person wants; `gripper` is the target that was sent last, 0 to 1."""
        ...

    def ask(self, question: str) -> str:
        """Wait for the answer to a question between episodes, "yes" where the arm may move."""
        ...

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
        self._latched: float | None = None  # what the device said of the gripper before he had it
        self._begun = True

    def poll(self, *, gripper: float) -> Intent:
        found = self._device.poll()
        pressed = found.buttons
        takes_over = Button.TAKE_OVER in pressed and not self._has
        if takes_over:  # he gets what the policy holds, and opens it where he presses for it
            self._has, self._gripper = True, gripper
        if takes_over or self._begun:
            self._latched, self._begun = found.gripper, False
        if found.gripper == self._latched:
            found = replace(found, gripper=None)
        else:
            self._latched = None
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
        self._has, self._gripper, self._begun = self._drives, gripper, True

    def ask(self, question: str) -> str:
        """Wait for the button that confirms, or for another one that does not."""
        print(f"{question}(or the button that confirms; any other: no)", flush=True)
        self._device.poll()  # what was pressed before the question is no answer
        while not (pressed := self._device.poll().buttons):
            time.sleep(ASK_S)
        return "yes" if pressed == {Button.CONFIRM} else "no"

    def close(self) -> None:
        self._device.close()


class Nobody:
    """No person: for scripts and tests."""

    def poll(self, *, gripper: float) -> Intent:
        return NOTHING

    def ask(self, question: str) -> str:
        """Ask whoever reads the terminal now."""
        return input(question)

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

    def poll(self, *, gripper: float) -> Intent:
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

    def ask(self, question: str) -> str:
        """Take the next line that is typed as the answer, by the one thread that reads them."""
        while not self._lines.empty():  # typed before the question: no answer to it
            self._lines.get()
        print(question, end="", flush=True)
        return self._lines.get()

    def close(self) -> None:
        """Leave the thread behind: it waits for a line that may never come."""

    def _read(self) -> None:
        try:
            for line in self._stream:
                self._lines.put(line)
        finally:  # nobody can be heard any more, at the end of the input or after a bad byte
            self._lines.put("")
