"""A terminal that gives every key at once and echoes none, and gets its old mode back whatever ends
the process: `restore`, the interpreter's exit, or, for kill -9, a small process that waits for it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import termios
from contextlib import suppress
from typing import Any

from robot.errors import InputError

# Standard input is a pipe from the process that changed the terminal. A byte: it has restored the
# mode itself. The end without one: it is gone, and this does it.
GUARD = """
import json, sys, termios
if not sys.stdin.buffer.read(1):
    fd, mode = json.loads(sys.argv[1])
    mode[6] = [c.encode("latin-1") if isinstance(c, str) else c for c in mode[6]]
    termios.tcsetattr(fd, termios.TCSANOW, mode)
"""
CONTROLS = 6  # of a mode's list: special characters


class KeyMode:
    """Switches a terminal on construction."""

    def __init__(self, fd: int) -> None:
        require_terminal(fd)
        self._fd = fd
        self._before = termios.tcgetattr(fd)
        self._guard = _start_guard(fd, self._before)
        atexit.register(self.restore)
        self._is_on = True
        disabled = bytes([os.fpathconf(fd, "PC_VDISABLE") & 0xFF])
        termios.tcsetattr(fd, termios.TCSADRAIN, key_mode(self._before, disabled=disabled))

    def restore(self) -> None:
        """Give the terminal its old mode back; callable twice."""
        if not self._is_on:
            return
        self._is_on = False
        atexit.unregister(self.restore)
        with suppress(termios.error, OSError):  # a terminal that is gone needs nothing
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        assert self._guard.stdin is not None
        with suppress(OSError):
            self._guard.stdin.write(b"x")
            self._guard.stdin.close()
        self._guard.wait()


def require_terminal(fd: int) -> None:
    """Raise InputError unless `fd` is a terminal that this process may read keys from."""
    if not os.isatty(fd):
        raise InputError(
            "got no terminal on standard input, expected one for the keyboard; run the command in "
            "a terminal (over ssh with -t), or choose another device with teleop="
        )
    with suppress(OSError):  # of another session's terminal nothing can be said
        if os.tcgetpgrp(fd) != os.getpgrp():
            raise InputError(
                "got a command in the background, expected one in the foreground for the keyboard; "
                "run it without &"
            )


def key_mode(before: list[Any], *, disabled: bytes) -> list[Any]:
    """Return a terminal's mode with keys at once and no echo. Ctrl-C stays; Ctrl-Z, which would
    stop the loop and not the arm, and Ctrl-S, which would block its output, do nothing.
    """
    mode = [*before[:CONTROLS], list(before[CONTROLS])]
    mode[0] &= ~termios.IXON
    mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    mode[CONTROLS][termios.VMIN], mode[CONTROLS][termios.VTIME] = 1, 0
    mode[CONTROLS][termios.VSUSP] = disabled
    return mode


def _start_guard(fd: int, before: list[Any]) -> subprocess.Popen[bytes]:
    controls = [c.decode("latin-1") if isinstance(c, bytes) else c for c in before[CONTROLS]]
    terminal = os.dup(fd)  # standard input, which `fd` mostly is, becomes the pipe
    try:
        argument = json.dumps([terminal, [*before[:CONTROLS], controls]])
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(terminal,),
            start_new_session=True,  # no signal of the terminal's reaches it
        )
    finally:
        os.close(terminal)
