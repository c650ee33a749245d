"""The operator sees who drives and why not, and nothing that he sees holds up the loop."""

from __future__ import annotations

import io
import socket
import sys
import time
from types import ModuleType

import pytest

from robot.deploy.viewer import Rerun, Terminal, Viewer, check_viewer, line_of
from robot.errors import InputError
from robot.types import MaskStatus
from tests.deploy.stage import Stage


def test_a_line_says_goal_mode_mask_loop_latency_and_interventions():
    stage = Stage(delay=2)
    stage.planner.status, stage.planner.waits = MaskStatus.ABSENT, True
    stage.run(20)
    assert stage.loop.status is not None
    line = line_of(stage.loop.status)
    step = stage.loop.status.step
    assert line.startswith(f"lift it | step {step} | hold (no_target: the mask says absent)")
    assert "| mask absent" in line and "| period 50.0 ms | plan 100 ms |" in line
    assert "no_target" in line.split("interventions")[1]


class Terminals(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_events_have_lines_of_their_own_above_the_status():
    stage, stream = Stage(), Terminals()
    stage.run(10)
    assert stage.loop.status is not None
    Terminal(stream).show(stage.loop, stage.loop.status)
    event, status = stream.getvalue().split("\n")
    assert event.endswith("end: time limit") and status.startswith("\r\x1b[Klift it |")


class Broken:
    period_s = 0.001

    def show(self, loop, status) -> None:
        raise OSError("the terminal is gone")

    def close(self) -> None: ...


def test_a_viewer_that_fails_is_an_event_and_no_more():
    stage = Stage()
    viewer = Viewer(stage.loop, Broken())
    stage.run(10)
    deadline = time.monotonic() + 60
    while "viewer" not in stage.loop.event_counts and time.monotonic() < deadline:
        time.sleep(0.005)
    viewer.close()
    assert stage.loop.event_counts["viewer"] == 1


def test_a_missing_rerun_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(InputError, match=r"pip install 'ivm-robot\[viewer\]'"):
        Rerun("spawn")


def test_what_a_viewer_cannot_be_is_told_before_an_arm_is_connected(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", ModuleType("rerun"))
    check_viewer("looks.rrd")
    with pytest.raises(InputError, match="got viewer=tv, expected spawn, serve"):
        check_viewer("tv")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        monkeypatch.setattr("robot.deploy.viewer.RERUN_PORT", taken.getsockname()[1])
        with pytest.raises(InputError, match="got viewer=serve, and port"):
            check_viewer("serve")
