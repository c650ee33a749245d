"""The clock keeps its rate, and never makes up for lost time."""

from __future__ import annotations

import numpy as np
import pytest

from robot.deploy.clock import Clock


class FakeTime:
    """A time that sleeping moves on, late by what `late` says next."""

    def __init__(self) -> None:
        self.now_s, self.late = 100.0, []

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds + (self.late.pop(0) if self.late else 0.0)


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def ticked(fake: FakeTime, clock: Clock, *, work_s: list[float]):
    ticks = []
    for work in work_s:
        ticks.append(clock.tick())
        fake.now_s += work
    return ticks


def test_ticks_are_a_period_apart_whatever_the_work_takes(fake):
    clock = Clock(0.05, now=fake.now, sleep=fake.sleep)
    ticks = ticked(fake, clock, work_s=[0.01, 0.04, 0.0, 0.049])
    np.testing.assert_allclose(np.diff([tick.time_s for tick in ticks]), 0.05)
    assert [tick.index for tick in ticks] == [0, 1, 2, 3]
    assert clock.timing().missed == 0


def test_a_little_lateness_does_not_move_the_grid(fake):
    clock = Clock(0.05, now=fake.now, sleep=fake.sleep)
    fake.late = [0.004]
    ticks = ticked(fake, clock, work_s=[0.0] * 3)
    np.testing.assert_allclose([tick.time_s - 100 for tick in ticks], [0, 0.054, 0.1])


def test_after_a_stall_no_two_ticks_come_close_together(fake):
    clock = Clock(0.05, now=fake.now, sleep=fake.sleep)
    ticks = ticked(fake, clock, work_s=[0.0, 0.49, 0.0, 0.0, 0.0])
    assert np.diff([tick.time_s for tick in ticks]).min() > 0.0499
    assert [tick.index for tick in ticks] == [0, 1, 11, 12, 13]  # 490 ms: nine were missed
    assert [tick.missed for tick in ticks] == [0, 0, 9, 0, 0]
    assert clock.timing().missed == 9


def test_time_between_start_and_first_tick_is_not_counted(fake):
    clock = Clock(0.05, now=fake.now, sleep=fake.sleep)
    ticked(fake, clock, work_s=[0.0, 0.0])
    fake.now_s += 60  # a person reads the question whether to go on
    clock.start()
    ticked(fake, clock, work_s=[0.0, 0.0])
    assert clock.timing().missed == 0
    assert clock.timing().period_max_ms == pytest.approx(50)
