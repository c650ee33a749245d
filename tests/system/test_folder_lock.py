"""One command at a time in a folder."""

from __future__ import annotations

import subprocess
import sys
import time

from robot.system import folder_lock
from robot.system.folder_lock import is_locked, locked

HOLD = (
    "import sys, time; from pathlib import Path; from robot.system.folder_lock import locked\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_the_second_waits_says_so_once_and_gets_in_when_the_first_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "POLL_S", 0.05)
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"held\n"
    assert is_locked(tmp_path)
    said = []

    def waiting() -> None:
        said.append(time.monotonic())
        first.kill()
        first.wait()

    with locked(tmp_path, waiting=waiting):
        assert is_locked(tmp_path)
    assert len(said) == 1 and not is_locked(tmp_path)


def test_a_free_folder_is_entered_at_once_and_made(tmp_path):
    with locked(tmp_path / "new", waiting=pytest_fail):
        assert (tmp_path / "new").is_dir()


def pytest_fail() -> None:
    raise AssertionError("nobody is there to wait for")
