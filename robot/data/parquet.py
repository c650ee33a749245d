"""Parquet files as this package writes and reads them: checksummed pages, whole files, errors that
say what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from robot.data.atomic import write_bytes
from robot.types import InputError


def write_table(path: Path, table: pa.Table, *, indexed: Sequence[str] = ()) -> None:
    """Write a table atomically; `indexed` columns get minima and maxima, so that readers can skip
    files.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="NONE",  # PNG is compressed already and the rest is small
        use_dictionary=False,
        write_statistics=list(indexed),  # pyright: ignore[reportArgumentType]  # a list is documented, the stub says bool
        write_page_checksum=True,
    )
    write_bytes(path, memoryview(sink.getvalue()))


def read_table(path: Path) -> pa.Table:
    """Read a whole file and verify its checksums. (`pq.read_table` would take "key=value" in a
    parent folder for a column.)
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read()


@contextmanager
def explaining(path: Path, *, remedy: str, kind: str = "Parquet file") -> Iterator[None]:
    """Turn what a truncated or corrupt file raises into one sentence with its name and
    what to do.
    """
    try:
        yield
    except InputError:
        raise
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"got an unreadable file {path} ({reason}), expected a complete {kind}: {remedy}"
        ) from error
