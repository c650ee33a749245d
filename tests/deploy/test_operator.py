"""What a person does at a device or types becomes an intent."""

from __future__ import annotations

import io
import os
import threading
import time

import numpy as np
import pytest

from robot.deploy.operator import Intent, Lines, Person
from robot.hardware.teleop.operator import Button, OperatorInput

HELD = 0.125  # the target that was sent last


class FakeDevice:
    help = ""

    def __init__(self) -> None:
        self.next = OperatorInput(0.0)

    def connect(self) -> None: ...

    def poll(self) -> OperatorInput:
        return self.next

    def close(self) -> None: ...

    def press(self, *buttons: Button) -> None:
        self.next = OperatorInput(0.0, buttons=frozenset(buttons))

    def move(self, **changes) -> None:
        self.next = OperatorInput(0.0, **changes)


@pytest.fixture
def hands():
    device = FakeDevice()
    return device, Person(device, control_dt_s=0.05)


def test_a_person_has_the_arm_from_taking_over_to_handing_back(hands):
    device, person = hands
    assert person.poll(gripper=HELD).jog is None
    device.press(Button.TAKE_OVER)
    assert person.poll(gripper=HELD).jog is not None
    device.move(velocity=np.array([0.1, 0, 0, 0, 0, 0.5]), gripper=0.0)
    np.testing.assert_allclose(
        person.poll(gripper=HELD).jog, [0.005, 0, 0, 0, 0, 0.025, 0], atol=1e-7
    )
    device.move()
    assert person.poll(gripper=HELD).jog[-1] == 0  # the gripper stays where it was put
    device.press(Button.HAND_BACK)
    assert person.poll(gripper=HELD).jog is None


def test_who_demonstrates_has_the_arm_all_the_time(hands):
    device, _ = hands
    person = Person(device, control_dt_s=0.05, drives=True)
    device.press(Button.HAND_BACK)
    assert person.poll(gripper=HELD).jog is not None


@pytest.mark.parametrize(
    ("button", "expected"),
    [
        (Button.STOP, Intent(estop=True)),
        (Button.CONFIRM, Intent(release=True)),
        (Button.SUCCESS, Intent(ends=True, success=True)),
        (Button.FAILURE, Intent(ends=True, success=False)),
    ],
)
def test_buttons_mean_what_they_say(hands, button, expected):
    device, person = hands
    device.press(button)
    assert person.poll(gripper=HELD) == expected


def test_a_new_episode_begins_with_the_policy_and_the_gripper_as_it_is(hands):
    device, person = hands
    device.press(Button.TAKE_OVER)
    person.poll(gripper=HELD)
    person.begins(gripper=0.25)
    device.move()
    assert person.poll(gripper=HELD).jog is None
    device.press(Button.TAKE_OVER)
    assert person.poll(gripper=0.25).jog[-1] == 0.25


def test_who_takes_over_keeps_what_the_policy_holds_until_he_opens_the_hand(hands):
    device, person = hands
    device.move(gripper=1.0)  # the device remembers the last press, of long ago
    person.poll(gripper=HELD)
    device.move(gripper=1.0, buttons=frozenset({Button.TAKE_OVER}))
    assert person.poll(gripper=HELD).jog[-1] == HELD
    device.move(gripper=1.0)
    assert person.poll(gripper=HELD).jog[-1] == HELD
    device.move(gripper=0.0)
    assert person.poll(gripper=HELD).jog[-1] == 0.0
    device.move(gripper=1.0)
    assert person.poll(gripper=HELD).jog[-1] == 1.0


@pytest.mark.parametrize(("button", "answer"), [(Button.CONFIRM, "yes"), (Button.STOP, "no")])
def test_a_question_between_episodes_is_answered_at_the_device(hands, button, answer):
    device, person = hands
    pressed = iter([Button.CONFIRM, None, button])  # the first one was pressed before the question

    def poll() -> OperatorInput:
        now = next(pressed)
        return OperatorInput(0.0, buttons=frozenset({now} - {None}))

    device.poll = poll
    assert person.ask("May it move? ") == answer


def test_lines_are_the_e_stop_commands_and_goals():
    lines = Lines(io.StringIO("\ngo\n done \nfailed\nquit\npick  up the cup\n"))
    found = []
    while len(found) < 7:
        if (intent := lines.poll(gripper=HELD)) != Intent():
            found.append(intent)
        time.sleep(0.001)
    assert found == [
        Intent(estop=True),
        Intent(release=True),
        Intent(ends=True, success=True),
        Intent(ends=True, success=False),
        Intent(quits=True),
        Intent(goal="pick up the cup"),
        Intent(estop=True),  # the end of the input: nobody can be heard any more
    ]


def test_a_question_is_answered_by_the_next_line_and_not_by_an_earlier_one():
    read, write = os.pipe()
    with os.fdopen(read) as stream, os.fdopen(write, "w", buffering=1) as terminal:
        lines = Lines(stream)
        terminal.write("yes\n")
        while lines._lines.empty():
            time.sleep(0.001)
        asked = threading.Timer(0.05, lambda: terminal.write("no\n"))
        asked.start()
        assert lines.ask("May it move? ").strip() == "no"
        terminal.close()
        until = time.monotonic() + 60
        while lines.poll(gripper=HELD) != Intent(estop=True):  # nobody can be heard any more
            assert time.monotonic() < until
            time.sleep(0.001)
