"""What the operator sees, beside the loop and never in its way: a line in the terminal, and rerun
with cameras, masks, actions and latency, here or on another machine.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from robot.deploy.server_options import check_free
from robot.errors import InputError
from robot.types import Label

if TYPE_CHECKING:
    from robot.deploy.loop import Loop
    from robot.deploy.status import Status

LINE_EVERY_S = 0.25  # in a terminal, whose line is written over
LOG_EVERY_S = 5.0  # in a file
SHOWN_KINDS = 3  # of interventions
RERUN_PORT = 9876  # where rerun serves its viewers


class Sink(Protocol):
    """Where statuses and events go."""

    period_s: float

    def show(self, loop: Loop, status: Status) -> None: ...

    def close(self) -> None: ...


class Viewer:
    """A thread that shows what is newest; one that hangs or fails stops nothing."""

    def __init__(self, loop: Loop, sink: Sink) -> None:
        self._loop, self._sink = loop, sink
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            while not self._ends.wait(self._sink.period_s):
                if (status := self._loop.status) is not None:
                    self._sink.show(self._loop, status)
            self._sink.close()
        except Exception as error:
            self._loop.note("viewer", f"{type(error).__name__}: {error}")


class Stream(Protocol):
    """What a terminal or a file takes lines by."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Terminal:
    """One status line that is written over, and a line per event; in a file a line now and then."""

    def __init__(self, stream: Stream = sys.stderr) -> None:
        self._stream, self._live = stream, stream.isatty()
        self.period_s = LINE_EVERY_S
        self._shown = 0.0  # time of the newest event that was printed
        self._logged, self._step = float("-inf"), -1

    def show(self, loop: Loop, status: Status) -> None:
        clear = "\r\x1b[K" if self._live else ""
        for event in [event for event in loop.events.copy() if event.time_s > self._shown]:
            self._shown = event.time_s
            self._stream.write(f"{clear}{event.kind}: {event.text}\n")
        now = time.monotonic()
        if self._live:
            self._stream.write(clear + line_of(status))
        elif status.step != self._step and now - self._logged >= LOG_EVERY_S:
            self._logged, self._step = now, status.step
            self._stream.write(line_of(status) + "\n")
        self._stream.flush()

    def close(self) -> None:
        if self._live:
            self._stream.write("\n")
            self._stream.flush()


def line_of(status: Status) -> str:
    """Return one line: goal, who drives and why not, mask, loop, latency, interventions."""
    age = "" if status.mask_age_s is None else f" {1e3 * status.mask_age_s:.0f} ms"
    latency = "-" if status.latency_ms is None else f"{status.latency_ms:.0f} ms"
    most = sorted(status.interventions.items(), key=lambda item: -item[1])[:SHOWN_KINDS]
    changed = ", ".join(f"{kind} {count}" for kind, count in most) or "none"
    why = f" ({status.why})" if status.why else ""
    return (
        f"{status.goal} | step {status.step} | {status.mode}{why} | mask {status.mask_status}{age}"
        f" | period {status.period_ms:.1f} ms | plan {latency} | interventions {changed}"
    )


def check_viewer(where: str) -> None:
    """Raise InputError unless rerun can show there: told before an arm is connected."""
    if not (where in ("spawn", "serve") or "://" in where or where.endswith(".rrd")):
        raise InputError(
            f"got viewer={where}, expected spawn, serve, rerun+http://<machine>:9876/proxy or a "
            "file that ends in .rrd; choose one of these"
        )
    _rerun()
    if where == "serve":
        try:
            check_free("0.0.0.0", RERUN_PORT)
        except InputError:
            raise InputError(
                f"got viewer=serve, and port {RERUN_PORT} is taken, expected it free for rerun; "
                f"stop what listens there, or pass viewer=rerun+http://127.0.0.1:{RERUN_PORT}/proxy"
                " where that is a viewer"
            ) from None


class Rerun:
    """Cameras, masks, actions, latency and events in rerun's viewer.

    `where` is "spawn" for a viewer here, "serve" to wait for viewers of other machines
    (`rerun rerun+http://<this machine>:9876/proxy`), the address of a viewer that waits for us
    ("rerun+http://<that machine>:9876/proxy"), or a file (.rrd).
    """

    period_s = 0.05

    def __init__(self, where: str) -> None:
        check_viewer(where)
        self._rr = _rerun()
        rr = self._rr
        rr.init("ivm-robot", spawn=where == "spawn")
        if where == "serve":
            self.address = rr.serve_grpc()
        elif "://" in where:
            rr.connect_grpc(where)
            self.address = where
        elif where != "spawn":
            rr.save(where)
            self.address = where
        rr.log("/", rr.AnnotationContext(_classes()), static=True)
        self._step, self._shown = -1, 0.0

    def show(self, loop: Loop, status: Status) -> None:
        rr = self._rr
        if status.step == self._step:
            return
        self._step = status.step
        rr.set_time("time", duration=time.monotonic())
        rr.set_time("step", sequence=status.step)
        if status.look is not None:
            for frame in status.look.observation.frames:
                rr.log(f"cameras/{frame.camera}/frame", rr.Image(frame.image))
                labels = (status.labels or {}).get(frame.camera)
                if labels is not None:
                    rr.log(f"cameras/{frame.camera}/mask", rr.SegmentationImage(labels))
        for name, value in zip(loop.rig.spaces.action.names, status.action, strict=True):
            rr.log(f"action/{name}", rr.Scalars(float(value)))
        rr.log("loop/period_ms", rr.Scalars(status.period_ms))
        if status.latency_ms is not None:
            rr.log("loop/plan_ms", rr.Scalars(status.latency_ms))
        if status.mask_age_s is not None:
            rr.log("loop/mask_age_ms", rr.Scalars(1e3 * status.mask_age_s))
        rr.log("status", rr.TextLog(line_of(status)))
        for event in [event for event in loop.events.copy() if event.time_s > self._shown]:
            self._shown = event.time_s
            rr.log("events", rr.TextLog(f"{event.kind}: {event.text}", level="WARN"))

    def close(self) -> None:
        self._rr.disconnect()


def _rerun() -> Any:
    try:
        import rerun  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "got viewer=..., which needs rerun, expected it to be installed; pip install "
            "'ivm-robot[viewer]', or leave viewer out"
        ) from error
    return rerun


def _classes() -> list[tuple[int, str, tuple[int, int, int, int]]]:
    """Return id, name and colour (RGBA) of every label; the background is not drawn."""
    from robot.report.pictures import COLORS  # OpenCV

    classes: list[tuple[int, str, tuple[int, int, int, int]]] = [
        (Label.BACKGROUND.value, "background", (0, 0, 0, 0))
    ]
    for role, colour in COLORS.items():
        red, green, blue = (int(value) for value in colour)
        classes.append((role.value, role.name.lower(), (red, green, blue, 160)))
    return classes
