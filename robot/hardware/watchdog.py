"""The watchdog: what notices that a loop has stopped sending."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watchdog:
    """A thread that acts when commands stop coming. Armed by the first `feed`."""

    def __init__(
        self, *, limit_s: float, clock: Callable[[], float], overdue: Callable[[float], None]
    ) -> None:
        """`overdue` is called in the thread, with the time since the last command."""
        self._limit_s, self._clock, self._overdue = limit_s, clock, overdue
        self._fed_s: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def feed(self, now_s: float) -> None:
        """Say that a command came."""
        self._fed_s = now_s
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._thread.start()

    def disarm(self) -> None:
        """Expect no command until the next `feed`."""
        self._fed_s = None

    def end(self) -> None:
        """End the thread; `feed` starts another."""
        self.disarm()
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _run(self) -> None:
        while not self._ended.wait(self._limit_s / 8):
            fed_s = self._fed_s
            if fed_s is None:
                continue
            late_s = self._clock() - fed_s
            if late_s > self._limit_s and self._fed_s == fed_s:
                self.disarm()
                self._overdue(late_s)
