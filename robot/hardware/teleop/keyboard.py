"""A person at the keyboard of a terminal, also over ssh."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable

from robot.hardware.teleop.keys import ESCAPE, KeyboardOptions, Pressed, keys_of, stops
from robot.hardware.teleop.operator import OperatorInput
from robot.hardware.teleop.terminal import KeyMode

REST_S = 0.02  # for the rest of an escape sequence; one that stays without is a bare escape


def _nothing() -> None:
    pass


class KeyboardOperator:
    """An `Operator`. A thread reads: the e-stop (space, escape) calls `on_stop` at once, whatever
    the loop that polls is doing. So does a terminal that is gone.

    A terminal tells when a key comes, again and again while it is held, and never that it is let
    go: a motion lasts `hold_s` after each time.
    """

    def __init__(
        self,
        options: KeyboardOptions,
        *,
        on_stop: Callable[[], None] = _nothing,
        fd: int | None = None,
    ) -> None:
        self._options, self._on_stop = options, on_stop
        self._fd = fd
        self._pressed = Pressed()
        self._lock = threading.Lock()  # held for microseconds
        self._mode: KeyMode | None = None
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] | None = None
        keys = ", ".join(f"{key} {what}" for what, key in options.keys.items())
        self.help = f"space or escape stop, {keys}"

    def connect(self) -> None:
        if self._mode is not None:
            return
        fd = sys.stdin.fileno() if self._fd is None else self._fd
        self._mode = KeyMode(fd)
        self._wake = os.pipe()
        self._pressed = Pressed()
        self._thread = threading.Thread(
            target=self._read, args=(fd, self._wake[0]), name="keyboard", daemon=True
        )
        self._thread.start()

    def poll(self) -> OperatorInput:
        now_s = time.monotonic()
        with self._lock:
            pressed, self._pressed = self._pressed, self._pressed.polled()
        return pressed.as_input(time_s=now_s, options=self._options)

    def close(self) -> None:
        if self._mode is None or self._thread is None or self._wake is None:
            return
        os.write(self._wake[1], b"x")
        self._thread.join()
        self._mode.restore()
        for end in self._wake:
            os.close(end)
        self._mode = self._thread = self._wake = None

    def __enter__(self) -> KeyboardOperator:
        self.connect()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self, fd: int, wake: int) -> None:
        rest = b""
        while True:
            ready, _, _ = select.select([fd, wake], [], [], REST_S if rest else None)
            if wake in ready:
                return
            try:
                data = os.read(fd, 4096) if ready else b""
            except OSError:
                data, ready = b"", [fd]
            if ready and not data:  # hung up
                self._stop()
                return
            if not data:
                self._take((ESCAPE,))  # whatever began here, its first key may have been this one
                rest = b""
                continue
            keys, rest = keys_of(rest + data)
            self._take(keys)

    def _take(self, keys: tuple[str, ...]) -> None:
        now_s = time.monotonic()
        with self._lock:
            for key in keys:
                self._pressed = self._pressed.with_key(key, time_s=now_s, options=self._options)
        if any(stops(key, options=self._options) for key in keys):
            self._on_stop()

    def _stop(self) -> None:
        with self._lock:
            self._pressed = self._pressed.stopped()
        self._on_stop()
