"""How a thread is scheduled: real-time where a clock is kept, and given back where a library takes
it for all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOP, DRIVER = 3, 4  # above every ordinary program, below a controller of 1 kHz


@contextmanager
def own_priority() -> Iterator[None]:
    """Give this thread its scheduling back afterwards, whatever happens to it within."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@contextmanager
def prompt(priority: int = LOOP) -> Iterator[None]:
    """Run this thread before other programs within, where that is allowed: it keeps a clock.

    Threads that are started within inherit it. Nothing changes where the user may not (ulimit -r).
    """
    with own_priority():
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
        yield
