"""Ctrl-C and SIGTERM, sent to processes of our own. The functions below are what workers import:
they must stay at the top of this module.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from robot.system.interrupt import END_S

ROOT = Path(__file__).resolve().parents[2]
STARTS = """
import sys, time
from functools import partial
from pathlib import Path
from robot.system.command import main_guard
from robot.system.parallel import parallel_map
from tests.system.test_interrupt import make_sleeper

@main_guard
def main():
    {body}

if __name__ == "__main__":
    main()
"""
SWALLOWS = """
    for _ in range(2):
        try:
            print("ready", flush=True)  # in here: the signal may come before the next line
            time.sleep(60)
        except BaseException:
            pass
    try:
        time.sleep(60)
    finally:
        print("unwound", flush=True)
"""
WORKERS = """
    for _ in parallel_map(partial(make_sleeper, Path(sys.argv[1])), range(4), workers=2):
        pass
"""
UNRAISABLE = """
    import weakref
    class Thing: pass
    def busy(reference):
        print("ready", flush=True)
        time.sleep(60)  # an exception in a callback is printed, and goes no further
    thing = Thing()
    reference = weakref.ref(thing, busy)
    try:
        del thing
        time.sleep(60)
    finally:
        print("unwound", flush=True)
"""
LINGERS = """
    import atexit
    atexit.register(time.sleep, 30)
    print("ready", flush=True)
    time.sleep(60)
"""
CLEANS = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(2)
        print("cleaned", flush=True)
"""
SLEEPS = """
    print("ready", flush=True)
    time.sleep(0.3)
"""
TURNS = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException as error:
        raise ImportError("a module of C") from error
"""


def make_sleeper(folder: Path):
    return partial(sleeper, folder)


def sleeper(folder: Path, item: int) -> int:
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(60)
    return item


def start(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    script = tmp_path / "main.py"
    script.write_text(STARTS.format(body=body.strip()))
    return subprocess.Popen(
        [sys.executable, script, tmp_path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], *, within_s: float = 30.0) -> tuple[int, str]:
    err = process.communicate(timeout=within_s)[1]
    return process.returncode, err


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "the terminal was closed"),
    ],
)
def test_one_sentence_and_the_exit_code_whatever_libraries_make_of_it(tmp_path, number, code, word):
    process = start(tmp_path, TURNS)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    returned, err = ended(process)
    assert returned == code and err.startswith(f"error: {word}; ") and err.count("\n") == 1, err


def test_a_closed_terminal_does_not_end_what_nohup_has_started(tmp_path):
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; children inherit it
    try:
        process = start(tmp_path, SLEEPS)
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_it_in_silence_when_the_whole_group_is_told(tmp_path, number):
    process = start(tmp_path, WORKERS)
    deadline = time.monotonic() + 120
    while len(found := list(tmp_path.glob("*.pid"))) < 2:
        assert time.monotonic() < deadline, ended(process)
        time.sleep(0.05)
    os.killpg(process.pid, number)
    returned, err = ended(process)
    assert returned == 128 + number and err.count("\n") == 1, err
    assert not any(Path("/proc", path.stem).exists() for path in found)


@pytest.mark.parametrize("body", [SWALLOWS, UNRAISABLE], ids=["twice", "in a callback"])
def test_an_interruption_that_is_swallowed_is_raised_again(tmp_path, body):
    process = start(tmp_path, body)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    told = [line for line in iter(process.stdout.readline, "") if line != "ready\n"]
    assert told == ["unwound\n"]  # by an exception, not because time was up
    returned, err = ended(process)
    assert returned == 143 and err.endswith("again to go on\n") and "error: terminated; " in err


@pytest.mark.slow
def test_what_libraries_do_at_exit_does_not_hold_a_stopped_process_up(tmp_path):
    process = start(tmp_path, LINGERS)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    returned, err = ended(process)
    assert returned == 143 and err.count("\n") == 1, err
    assert time.monotonic() - told < END_S  # FAREWELL_S, and what a busy machine adds


@pytest.mark.slow
def test_a_cleanup_is_not_interrupted_again(tmp_path):
    process = start(tmp_path, CLEANS)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaned\n"
    assert ended(process)[0] == 143
