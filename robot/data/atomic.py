"""Write files so that a kill at any moment leaves the whole file or nothing.

A file is written under a hidden temporary name in its own directory, flushed to the disk and
renamed. The writer holds a lock (flock) on the temporary, which the kernel drops when the process
dies, however it dies: an unlocked temporary is stale.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robot.types import InputError

# does not end in .parquet, so that readers which glob for *.parquet never see a temporary
_SUFFIX = ".tmp"
_NO_SPACE = {
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a used-up disk quota",
    errno.EFBIG: "a file size limit",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block succeeds it becomes `path`, otherwise
    nothing is left of it.
    """
    temporary, lock = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, lock = _create_locked(path)
        yield temporary
        os.fsync(lock)
        os.rename(temporary, path)
        _fsync_directory(path.parent)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise InputError(
            f"got {_NO_SPACE[error.errno]} while writing {path}, expected room for it; no partial "
            "file is left: "
            "free some space (or raise the limit) and run the same command again"
        ) from error
    finally:
        if temporary is not None and lock is not None:
            temporary.unlink(missing_ok=True)
            os.close(lock)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file at once, atomically."""
    with replacing(path) as temporary, open(temporary, "wb", buffering=0) as file:
        rest = memoryview(content).cast("B")
        while rest:  # a nearly full disk accepts part of a write before it says no
            rest = rest[file.write(rest) :]


def remove_stale(directory: Path) -> None:
    """Remove the temporaries that killed writers left in a directory; those of living
    writers stay.
    """
    for path in directory.glob(f".*{_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # its writer finished meanwhile
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:  # a living process is writing it
            pass
        finally:
            os.close(descriptor)


def _create_locked(path: Path) -> tuple[Path, int]:
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}"
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(
            descriptor
        ).st_nlink:  # else `remove_stale` took it between its creation and its lock: again
            return temporary, descriptor
        os.close(descriptor)


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
