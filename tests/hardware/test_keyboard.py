"""The keyboard over a pty: a real terminal, its mode, and a process that is killed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from robot.errors import InputError
from robot.hardware.teleop.keyboard import KeyboardOperator
from robot.hardware.teleop.keys import KeyboardOptions
from robot.hardware.teleop.operator import Button
from robot.system.parse import parse

ROOT = Path(__file__).resolve().parents[2]
SECTION = yaml.safe_load((ROOT / "configs" / "teleop" / "keyboard.yaml").read_text())
OPTIONS = parse(KeyboardOptions, {k: v for k, v in SECTION.items() if k != "kind"})

PROGRAM = """
import sys, time, yaml
from robot.hardware.teleop.keyboard import KeyboardOperator
from robot.hardware.teleop.keys import KeyboardOptions
from robot.system.command import main_guard
from robot.system.parse import parse
section = yaml.safe_load(open("configs/teleop/keyboard.yaml"))
section.pop("kind")
@main_guard
def main():
    operator = KeyboardOperator(parse(KeyboardOptions, section))
    operator.connect()
    print("ready", flush=True)
    if sys.argv[1] == "raise":
        raise RuntimeError("a bug")
    time.sleep(60)
main()
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Yield the person's end and the program's."""
    person, program = pty.openpty()
    yield person, program
    for end in (person, program):
        with suppress(OSError):
            os.close(end)


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def typed(operator: KeyboardOperator) -> set[Button]:
    """Return the next buttons that come."""
    found: set[Button] = set()

    def come() -> bool:
        found.update(operator.poll().buttons)
        return bool(found)

    until(come)
    return found


def test_keys_of_a_terminal_move_and_press(terminal):
    person, program = terminal
    with KeyboardOperator(OPTIONS, fd=program) as operator:
        assert not operator.poll().is_moving
        os.write(person, b"w")
        until(lambda: operator.poll().velocity[0] == pytest.approx(0.1))
        until(lambda: not operator.poll().is_moving)
        os.write(person, b"t")
        assert typed(operator) == {Button.TAKE_OVER}
        os.write(person, b"\r")
        assert typed(operator) == {Button.CONFIRM}
        os.write(person, b"[")
        until(lambda: operator.poll().gripper == 0.0)


@pytest.mark.parametrize("data", [b" ", b"\x1b", b"wwww\x1b[A  \x1b["])
def test_the_stop_key_calls_at_once_and_is_polled(terminal, data):
    person, program = terminal
    stopped: list[float] = []
    with KeyboardOperator(OPTIONS, fd=program, on_stop=lambda: stopped.append(1)) as operator:
        os.write(person, data)
        until(lambda: bool(stopped))  # without any poll: the loop may hang
        assert typed(operator) == {Button.STOP}


def test_an_arrow_key_that_comes_in_two_parts_is_no_stop(terminal):
    person, program = terminal
    with KeyboardOperator(OPTIONS, fd=program) as operator:
        os.write(person, b"\x1b")
        os.write(person, b"[At")
        assert typed(operator) == {Button.TAKE_OVER}


def test_a_terminal_that_is_gone_stops(terminal):
    person, program = terminal
    stopped: list[float] = []
    with KeyboardOperator(OPTIONS, fd=program, on_stop=lambda: stopped.append(1)) as operator:
        os.close(person)
        until(lambda: bool(stopped))
        assert typed(operator) == {Button.STOP}


def test_keys_come_at_once_without_echo_and_the_mode_comes_back(terminal):
    _, program = terminal
    before = termios.tcgetattr(program)
    operator = KeyboardOperator(OPTIONS, fd=program)
    for _ in range(2):
        operator.connect()
        local = termios.tcgetattr(program)[3]
        assert not local & (termios.ICANON | termios.ECHO) and local & termios.ISIG
        assert not termios.tcgetattr(program)[0] & termios.IXON
        operator.close()
        operator.close()
        assert termios.tcgetattr(program) == before


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (signal.SIGKILL, -9),
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        (None, 1),  # an exception that nobody expected
    ],
)
def test_the_mode_comes_back_however_the_process_ends(terminal, end, code):
    _, program = terminal
    before = termios.tcgetattr(program)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sleep" if end else "raise"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=program,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    if end is not None:
        assert termios.tcgetattr(program) != before
        process.send_signal(end)
    assert process.wait(20) == code
    until(lambda: termios.tcgetattr(program) == before)


def test_no_terminal_is_one_sentence():
    reader, writer = os.pipe()
    operator = KeyboardOperator(OPTIONS, fd=reader)
    with pytest.raises(InputError, match="got no terminal on standard input"):
        operator.connect()
    operator.close()
    os.close(reader)
    os.close(writer)
