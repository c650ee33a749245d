"""Ctrl-C, SIGTERM and a terminal that closes end a command within seconds, whatever it is doing.

Standard library only: a command listens before it imports what takes seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVE_S = 2.5  # for a training, to end its step and to write its checkpoint
END_S = 4.0  # for all the rest, too: then the process ends, whatever holds it up
AGAIN_S = 0.5  # until an interruption that was swallowed is raised again, and again
FAREWELL_S = 1.0  # for what libraries do at the end of a process that has said why it ends
# where this process cannot unwind, the tracker frees its semaphores, and would say so
QUIET_TRACKER = "ignore:resource_tracker:UserWarning"
KEPT = "; what was collected and trained is kept, run the command again to go on"
WHAT_CAME = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "the terminal was closed",
}

_received: list[int] = []
_kept = [KEPT]  # how the sentence ends
_held: list[int] = []  # one item for every `starting_processes` that is open
_said = threading.Event()
_again = threading.Event()  # the next signal is ours: raise once more


@contextmanager
def listening(*, kept: str = KEPT) -> Iterator[Callable[[], int | None]]:
    """Raise KeyboardInterrupt within at the first of SIGNALS, and ignore later ones. Yields what
    returns the signal that came, or None. Under nohup a terminal that closes stays ignored.

    `kept` ends the sentence that says why. Libraries may swallow an exception (an import that tries
    another way, a callback whose exceptions are printed): it is raised again every AGAIN_S. They
    may hang as they unwind: END_S after the signal the process ends all the same, and its children
    with it. Does nothing outside of the main thread, or where an outer block listens already.
    """
    outermost = threading.current_thread() is threading.main_thread() and not any(
        signal.getsignal(number) is _stop for number in SIGNALS
    )
    if not outermost:
        yield _stopped_by
        return
    if QUIET_TRACKER not in sys.warnoptions:  # of multiprocessing's tracker, which inherits it
        sys.warnoptions.append(QUIET_TRACKER)
    _received.clear()
    _kept[:] = [kept]
    hung_up = signal.getsignal(signal.SIGHUP)
    previous = {number: signal.signal(number, _stop) for number in SIGNALS}
    if hung_up is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hung_up)
    try:
        yield _stopped_by
    finally:
        if not _received:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _stopped_by() -> int | None:
    return _received[0] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    if _received:
        if _again.is_set():
            _again.clear()
            raise KeyboardInterrupt
        return
    _received.append(number)
    threading.Thread(target=_end_in_time, args=(number,), daemon=True).start()
    if not _held:
        raise KeyboardInterrupt


@contextmanager
def starting_processes() -> Iterator[None]:
    """Start processes within. What a terminal sends to every process (Ctrl-C, that it closes) never
    reaches them: this one ends them. A SIGTERM waits until they have got what they begin with.
    """
    terminals = {signal.SIGINT, signal.SIGHUP}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, terminals)  # children inherit it
    resource_tracker.ensure_running()  # to start it unblocks SIGINT, so it is started before
    signal.pthread_sigmask(signal.SIG_BLOCK, terminals)
    _held.append(1)
    try:
        yield
    finally:
        _held.pop()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if _received and not _held and sys.exc_info()[0] is None:
            raise KeyboardInterrupt


def end_processes(processes: Sequence[BaseProcess], *, grace_s: float) -> None:
    """End processes: with SIGTERM, and with SIGKILL those that still run after `grace_s`, and what
    they started themselves (Weights & Biases, an encoder of videos).
    """
    theirs = [pid for process in processes for pid in _descendants(process.pid)]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_s
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.is_alive():
            process.kill()
    for pid in theirs:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int | None) -> list[int]:
    """Return the children of a process, theirs, and so on; none where the system does not list
    them.
    """
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in file.read_text().split()]
    return found + [deeper for child in found for deeper in _descendants(child)]


def sentence_of(number: int) -> str:
    """Say what ended the command, and what is left of it."""
    return WHAT_CAME[signal.Signals(number)] + _kept[0]


def say_stopped(number: int) -> None:
    """Print one sentence on stderr, once."""
    if _said.is_set():
        return
    _said.set()
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar may have hidden it
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"{show_cursor}error: {sentence_of(number)}\n".encode())


def _was_swallowed() -> bool:
    """Return whether the main thread works on, with no exception that it is unwinding."""
    active = sys._current_exceptions().get(threading.main_thread().ident or 0)
    # Python 3.11 says (type, exception, traceback), 3.12 the exception
    unwinding = active[1] if isinstance(active, tuple) else active
    return unwinding is None and not _held


def _end_in_time(number: int) -> None:
    """Raise again what was swallowed; end the process FAREWELL_S after it has unwound, and END_S
    after the signal whatever it does.
    """
    deadline = time.monotonic() + END_S
    while (left_s := deadline - time.monotonic()) > 0:
        if _said.wait(min(AGAIN_S, left_s)):
            time.sleep(min(FAREWELL_S, max(0.0, deadline - time.monotonic())))
            break
        if _was_swallowed():
            _again.set()
            signal.pthread_kill(threading.main_thread().ident or 0, number)
    end_processes(multiprocessing.active_children(), grace_s=0.0)
    say_stopped(number)
    os._exit(128 + number)
