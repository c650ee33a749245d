"""One command at a time in a folder: the kernel drops the lock when its process dies, however it
dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.5
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def locked(folder: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is missing; wait for it as long as another
    process holds it, after one call of `waiting`.

    A file system without locks (some network drives) lets everybody in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        busy = not _take(descriptor)
        if busy and waiting is not None:
            waiting()
        while busy:
            time.sleep(POLL_S)
            busy = not _take(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock of an existing folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return not _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY
    return True
