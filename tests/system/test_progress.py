"""Whoever reads a log sees that something moves."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from robot.system import progress
from robot.system.progress import Bars


@pytest.fixture
def clock(monkeypatch):
    """Return a clock of one hand that tests turn."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def moved(clock, *, terminal: bool, hidden: bool = False) -> list[str]:
    """Move a bar of 30 steps once in 10 seconds, and return the lines that were written
    meanwhile.
    """
    out = io.StringIO()
    with Bars(console=Console(file=out, force_terminal=terminal, width=200), hidden=hidden) as bars:
        task = bars.add_task("policy masked", total=30, text="")
        for step in range(1, 11):
            clock[0] += 10
            bars.update(task, completed=step, text=f"loss {step}")
        return out.getvalue().splitlines()


def test_a_log_gets_a_line_at_once_and_later_one_every_half_minute(clock):
    lines = moved(clock, terminal=False)
    assert [line.split(" after ")[0] for line in lines] == [
        f"policy masked {step}/30" for step in (1, 2, 3, 5, 8)
    ]
    assert lines[0].endswith("loss 1")


def test_a_log_gets_the_line_of_a_bar_that_is_full_once(clock):
    out = io.StringIO()
    with Bars(console=Console(file=out, width=200)) as bars:
        task = bars.add_task("collect", total=2, text="")
        for done in (0, 1, 2, 2):
            bars.update(task, completed=done)
        lines = out.getvalue().splitlines()
    assert [line.split(" after ")[0] for line in lines] == ["collect 0/2", "collect 2/2"]


def test_hidden_bars_write_no_line(clock):
    assert moved(clock, terminal=False, hidden=True) == []


def test_in_a_terminal_the_bars_move_instead(clock):
    assert not any(" after " in line for line in moved(clock, terminal=True))


def test_a_bar_without_a_goal_says_how_much_is_done():
    with Bars(console=Console(file=io.StringIO())) as bars:
        task = bars.add_task("collect", total=None, text="")
        bars.update(task, completed=7)
        assert progress.line_of(bars.tasks[0]) == "collect 7 after 0:00:00"
