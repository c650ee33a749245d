"""Batches made ahead are those made in turn."""

from __future__ import annotations

import threading
import time
from itertools import count, islice

import pytest

from robot.train.by_step import ByStep


def test_batches_made_ahead_come_in_the_order_of_their_steps():
    def make(step: int) -> int:
        time.sleep(0.02 if step % 3 == 0 else 0.0)  # the later ones are done sooner
        return step * step

    stream = ByStep(make)
    assert list(islice(stream.ahead(count(4)), 12)) == list(islice(stream(4), 12))
    assert list(stream.ahead([9, 2])) == [81, 4]


def test_batches_are_made_before_they_are_asked_for():
    made = {step: threading.Event() for step in range(6)}
    stream = ByStep(lambda step: made[step].set()).ahead(range(6), threads=2)
    next(stream)
    assert all(made[step].wait(timeout=10.0) for step in range(5))
    assert not made[5].is_set()  # nor all of an endless stream
    stream.close()


def test_what_making_a_batch_raises_is_raised_in_its_turn_and_no_thread_stays():
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("no frame")
        return step

    stream = ByStep(make).ahead(count())
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="no frame"):
        next(stream)
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]
