"""launch/deploy.py and launch/record.py check all of their config before anything is connected."""

from __future__ import annotations

import io
import sys

import pytest

from launch.demonstrating import Asked as RecordAsked
from launch.options import check_options
from launch.running import parse_asked
from robot.deploy.options import KINDS
from robot.deploy.robots import ROBOTS
from robot.errors import InputError
from robot.system.parse import parse
from tests.test_configs import composed, options


def deployed(*overrides: str):
    values = composed("deploy", "checkpoint=tabletop", "yes=true", *overrides)
    return parse_asked(values)


@pytest.mark.parametrize("robot", options("robot"))
def test_every_robot_is_parsed(robot):
    asked = deployed(f"robot={robot}", "goal=lift the red cup")
    assert asked.robot.kind == robot


def test_every_kind_of_robot_can_be_made():
    assert set(KINDS) == set(ROBOTS)


@pytest.mark.parametrize("teleop", options("teleop"))
def test_every_device_can_correct_and_demonstrate(teleop):
    assert deployed(f"teleop={teleop}").teleop.kind == teleop
    assert parse(RecordAsked, composed("record", f"teleop={teleop}")).teleop.kind == teleop


@pytest.mark.parametrize("command", ["deploy", "record"])
def test_the_options_as_they_are_pass_their_own_check(command):
    values = composed(command)
    check_options(values, default=composed(command))
    with pytest.raises(InputError, match="got no-such, which the config does not have"):
        check_options(values | {"no-such": 1}, default=composed(command))


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (("checkpoint=null",), "got checkpoint=None and server=None, expected one of the two"),
        (("server=ws://x:1",), "and server=ws://x:1, expected one of the two"),
        (("checkpoint=null", "server=ws://x:1", "exchange=openpi"), "without a mask head"),
        (("robot=franka",), "got robot=franka without a goal"),
        (("goal=' '",), "got an empty goal"),
        (("goal=flibber the zorp",), "unknown words: flibber, zorp"),
        (("viewer=tv",), "got viewer=tv, expected spawn, serve"),
        (("scene=nowhere",), "nowhere"),
        (("loop.seams=smooth",), "loop.seams=smooth"),
        (("robot.safety.watchdog_periods=1",), "watchdog_periods=1"),
        (("robot.kind=toaster",), "got robot.kind=toaster, expected one of simulated"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(overrides, error):
    with pytest.raises(InputError) as raised:
        deployed(*overrides)
    assert error in str(raised.value)


def test_a_script_has_to_say_yes(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(InputError, match="pass yes=true"):
        deployed("yes=false")
