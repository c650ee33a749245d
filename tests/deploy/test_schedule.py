"""Actions are executed at the control steps that they were planned for, and seams are smooth."""

from __future__ import annotations

import numpy as np
import pytest

from robot.deploy.schedule import DelayEstimate, Schedule, jerk, seam_steps
from robot.errors import InputError


def chunk(first: float, count: int = 8) -> np.ndarray:
    return (first + np.arange(count, dtype=np.float32))[:, None]


def test_actions_that_come_too_late_are_dropped():
    schedule = Schedule(seams="switch")
    assert schedule.add(chunk(0), start=10, now=13) == 3
    due = schedule.due(13)
    assert due is not None and due.action.item() == 3 and due.offset == 3


def test_a_chunk_that_is_late_altogether_leaves_the_old_one():
    schedule = Schedule(seams="switch")
    schedule.add(chunk(100, 12), start=10, now=10)
    assert schedule.add(chunk(0, 4), start=10, now=14) == 4
    due = schedule.due(14)
    assert due is not None and due.action.item() == 104 and due.chunk == 0


def test_no_action_is_due_where_no_chunk_reaches():
    schedule = Schedule(seams="switch")
    assert schedule.due(0) is None
    schedule.add(chunk(0, 4), start=0, now=0)
    assert (schedule.left(1), schedule.left(4)) == (3, 0)
    assert schedule.due(4) is None


def test_blending_goes_from_the_old_chunk_to_the_new_one():
    schedule = Schedule(seams="blend", blend_steps=1)
    schedule.add(np.zeros((8, 1), np.float32), start=0, now=0)
    schedule.add(np.ones((8, 1), np.float32), start=2, now=4)
    taken = [schedule.due(step) for step in range(4, 8)]
    assert [due.action.item() for due in taken if due] == [0.5, 1, 1, 1]


def test_ensembling_averages_all_chunks_that_say_something():
    schedule = Schedule(seams="ensemble", ensemble_decay=0.0)
    for start, value in ((0, 0.0), (1, 3.0), (2, 6.0)):
        schedule.add(np.full((8, 1), value, np.float32), start=start, now=start)
    due = schedule.due(2)
    assert due is not None and due.action.item() == pytest.approx(3)


def test_a_prefix_is_what_was_done_since_the_observation_and_what_will_be():
    schedule = Schedule(seams="rtc")
    schedule.add(chunk(0), start=0, now=0)
    for step in (0, 1, 2):
        schedule.executed(step, np.array([50.0 + step], np.float32))  # the safety layer changed it
    prefix = schedule.prefix(start=1, now=3, delay_steps=4)
    assert prefix is not None
    assert prefix.actions[:, 0].tolist() == [51, 52, 3, 4, 5, 6]
    assert prefix.weight[:4].tolist() == [1, 1, 1, 1]  # decided: until the new chunk is there
    assert 0 < prefix.weight[-1] < prefix.weight[4] < 1


def test_there_is_no_prefix_where_nothing_is_planned():
    assert Schedule(seams="rtc").prefix(start=0, now=0, delay_steps=2) is None


def test_the_delay_estimate_is_not_spoilt_by_the_warm_up():
    estimate = DelayEstimate(dt_s=0.05, warm_up=2)
    for latency in (3.0, 2.0, 0.12, 0.13, 0.12):
        estimate.add(latency)
    assert estimate.steps == 3


def test_the_delay_estimate_forgets_what_is_long_ago():
    estimate = DelayEstimate(dt_s=0.05, warm_up=0, kept=5)
    for latency in (0.4,) * 5 + (0.06,) * 5:
        estimate.add(latency)
    assert estimate.steps == 2


def test_jerk_is_the_third_derivative_of_the_position():
    t = np.arange(10) * 0.05
    position = np.stack([t**3, 0 * t], axis=1)
    changes = np.diff(position, axis=0).astype(np.float32)
    np.testing.assert_allclose(jerk(changes, dt_s=0.05), 6.0, rtol=1e-2)


def test_seams_are_where_another_chunk_takes_over():
    assert seam_steps([0, 0, 1, 1, 1, 3]) == {2, 5}


def test_an_unknown_kind_of_seams_is_bad_input():
    with pytest.raises(InputError, match="got seams='smooth', expected one of switch"):
        Schedule(seams="smooth")
