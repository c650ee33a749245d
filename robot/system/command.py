"""What every command shares: exit codes, the run directory, results.json, and the check for disk
space.

Exit codes: 0, 1 failed (Python's own for an exception nobody expected), 2 bad input, 130
interrupted (Ctrl-C), 143 terminated (SIGTERM). Standard library only: a command guards itself
before it imports what takes seconds.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import math
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from itertools import chain, count
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

from robot.errors import InputError
from robot.system.folder_lock import is_locked, locked
from robot.system.interrupt import KEPT, listening, say_stopped, sentence_of
from robot.system.torchrun import place

EXIT_BAD_INPUT = 2
EXIT_SIGNAL = 128  # plus the signal's number, as shells report it: 130 Ctrl-C, 143 SIGTERM
RUNS = Path("runs")
CONFIG, RESULTS = "config.yaml", "results.json"  # of a run directory
FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk

P = ParamSpec("P")


def main_guard(main: Callable[P, Any], *, kept: str = KEPT) -> Callable[P, None]:
    """Turn what a person can fix into one sentence on stderr and an exit code; anything else keeps
    its traceback.

    InputError, raised or behind another exception (`raise ... from`), and a full disk exit with 2,
    Ctrl-C with 130, SIGTERM with 143 and a closed terminal with 129, each within
    robot.system.interrupt.END_S; `kept` says what is left then.
    """

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        with listening(kept=kept) as stopped_by:
            try:
                main(*args, **kwargs)
            except BaseException as error:
                if number := stopped_by():  # whatever exception libraries have made of it
                    say_stopped(number)
                    raise SystemExit(EXIT_SIGNAL + number) from None
                if isinstance(error, KeyboardInterrupt):  # raised without a signal
                    stop(sentence_of(signal.SIGINT), code=EXIT_SIGNAL + signal.SIGINT)
                sentence = what_to_do(error)
                if sentence is None:
                    raise
                stop(sentence)

    return guarded


def what_to_do(error: BaseException) -> str | None:
    """Return the sentence of the InputError or full disk behind `error`, or None where there is
    neither.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in FULL:
            where = f" while writing {cause.filename}" if cause.filename else ""
            return (
                f"the disk is full{where}; free some space or choose another directory, then run "
                "the command again"
            )
        cause = cause.__cause__
    return None


def stop(sentence: str, *, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """End the process with one sentence on stderr."""
    print("error: " + " ".join(sentence.split()), file=sys.stderr, flush=True)
    raise SystemExit(code)


def run_directory(name: str, *, root: Path = RUNS, now: datetime | None = None) -> Path:
    """Create and return `<root>/<date>-<time>-<name>/`, with -2, -3, ... appended where it exists
    already.
    """
    stem = f"{now or datetime.now():%Y-%m-%d-%H%M%S}-{name}"
    for suffix in chain([""], (f"-{n}" for n in count(2))):
        try:
            directory = root / f"{stem}{suffix}"
            directory.mkdir(parents=True)
            return directory
        except FileExistsError as error:
            if not directory.is_dir():
                raise InputError(
                    f"got {root} as the directory for results, which is a file; move it away"
                ) from error
        except OSError as error:
            if error.errno in FULL:
                raise
            reason = (error.strerror or "not possible").lower()
            raise InputError(
                f"cannot create {directory}: {reason}; choose a directory that you may write to"
            ) from error
    raise AssertionError("count() does not end")


@contextmanager
def run_folder(
    name: str, *, config_yaml: str, root: Path = RUNS, resume: bool = False
) -> Iterator[Path]:
    """Yield a run directory with this `config.yaml`; a block that fails leaves none that holds
    nothing else.

    With `resume` it is the latest one of this name and config that has no results, and that no
    living command writes to, where there is one. Who only helps under torchrun gets a folder that
    is deleted afterwards.
    """
    if place().helps:
        with tempfile.TemporaryDirectory() as apart:
            yield Path(apart)
        return
    made_root = not root.exists()
    folder = (_unfinished(name, config_yaml, root=root) if resume else None) or run_directory(
        name, root=root
    )
    with locked(folder):
        try:
            (folder / CONFIG).write_text(config_yaml)
            yield folder
        except BaseException:
            if not any(path.name != CONFIG for path in folder.rglob("*") if path.is_file()):
                shutil.rmtree(folder, ignore_errors=True)
                if made_root and not any(root.iterdir()):
                    root.rmdir()
            raise


def _unfinished(name: str, config_yaml: str, *, root: Path) -> Path | None:
    """Return the latest run of this name and config that was cut off, or None."""
    for folder in sorted(root.glob(f"*-{name}*"), reverse=True):
        config = folder / CONFIG
        if (
            config.is_file()
            and not (folder / RESULTS).exists()
            and config.read_text() == config_yaml
            and not is_locked(folder)
        ):
            return folder
    return None


def write_results(run_dir: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json` at once or not at all, and print its path: the last line of a command,
    so that scripts can chain.
    """
    path = run_dir / RESULTS
    partial = run_dir / f".{path.name}.{os.getpid()}.tmp"
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(plain(results), file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    print(path, flush=True)
    return path


def plain(value: Any) -> Any:
    """Return `value` in JSON's types: arrays become lists, paths strings, and numbers that JSON
    lacks (nan, inf) None.
    """
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(plain(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case Path():
            return str(value)
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    raise TypeError(
        f"got a {type(value).__name__} in results, expected numbers, text, lists, mappings, arrays "
        "or paths"
    )


def _nearest(path: Path) -> Path:
    """Return `path`, or the nearest of its parents that exists."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())


def require_writable(path: Path) -> None:
    """Raise InputError unless `path` is a folder that this process can write to, or can be made
    one.
    """
    existing = _nearest(path)
    if not existing.is_dir():
        raise InputError(
            f"got {existing} for a folder, and it is a file; choose another path, such as "
            "data.root=data"
        )
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"got {path}, expected a folder that can be written to ({error.strerror}); choose "
            "another one"
        ) from error


def require_free_space(path: Path, required_bytes: int | float) -> None:
    """Raise InputError unless the disk that holds `path` (which need not exist yet) has
    `required_bytes` free.
    """
    existing = _nearest(path)
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < required_bytes:
        raise InputError(
            f"got {free_bytes / 1e9:.2f} GB free on the disk of {path}, expected at least "
            f"{required_bytes / 1e9:.2f} GB; "
            "free some space or choose another directory"
        )
