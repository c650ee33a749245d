"""Every run as training data: a process of its own writes the running episode into a journal, and
makes episodes of finished ones. The loop hands over copies and never waits.

    recorder = Recorder(run / "recording")
    recorder.begin(header); recorder.step(step); ...; recorder.end(success=True)

`episodes/` holds what was recorded, `corrections/` what a person did in it as a trusted tier. When
the loop is killed the process ends the episode itself; when it is killed, too, `recover` does at
the next start.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from robot.data.corrections import corrections_of
from robot.data.store import EpisodeStore
from robot.deploy.journal import SUFFIX, Header, Journal, Step, is_being_written, read_journal
from robot.report.pictures import drawn
from robot.report.video import write_video
from robot.system.interrupt import end_processes, starting_processes
from robot.types import Episode, Region

EPISODES, CORRECTIONS, JOURNALS, VIDEOS = "episodes", "corrections", "journal", "videos"
NICE = 5
WAITING_BYTES = 256e6  # of frames that may wait for the process; then steps are dropped
START_S = 60.0  # for the process to start on a busy computer
LISTENS = "listens"
END_S = 30.0  # for the last episode to be written
KILLED = {"ended": "the process was killed"}


class Recorder:
    """The loop's side. A recording that fails says so in `failure` and does not raise."""

    def __init__(self, folder: Path, *, videos: bool = True) -> None:
        self.folder, self._videos = folder, videos
        self.failure: str | None = None
        self.failed_s: float | None = None  # time.monotonic() of the failure
        self.dropped = 0
        self._listens = threading.Event()
        self._queue: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, folder, videos), name="recorder", daemon=True
        )
        with starting_processes():
            self._process.start()
        theirs.close()
        self._thread = threading.Thread(target=self._hand_over, name="recorder", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Return the process that records."""
        return self._process.pid

    def begin(self, header: Header) -> None:
        """Begin an episode; the first time once the process is there: what a kill would find only
        in this process's memory is lost.
        """
        self._listens.wait(START_S)
        self.failure = self.failed_s = None
        self._queue.put(("begin", header))

    def change_goal(self, goal: str, *, regions: tuple[Region, ...] = ()) -> None:
        """Record what follows as an episode of its own: a demonstration has one goal."""
        self._queue.put(("goal", goal, regions))

    def step(self, step: Step) -> None:
        size = sum(image.nbytes for image in step.images.values())
        if self._queue.qsize() * size < WAITING_BYTES:
            self._queue.put(("step", step))
        else:
            self.dropped += 1
            self.failure = "the recording cannot keep up with the loop: steps were dropped"

    def end(self, *, success: bool, extra: Mapping[str, str] | None = None) -> None:
        self._queue.put(("end", success, dict(extra or {})))

    def close(self, *, timeout_s: float = END_S) -> None:
        """Wait until all is on disk; callable twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout_s)
        self._process.join(timeout_s)
        if self._process.is_alive():
            end_processes([self._process], grace_s=1.0)

    def _hand_over(self) -> None:
        listener = threading.Thread(target=self._listen, name="recorder's answers", daemon=True)
        listener.start()
        try:
            while (message := self._queue.get()) is not None:
                self._pipe.send(message)
            self._pipe.send(("quit",))
        except OSError as error:
            self._fail(f"the process that records has ended ({error.strerror})")
        listener.join()  # what went wrong at the end is told, too

    def _listen(self) -> None:
        """Take what the process says, until it ends."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                if (said := self._pipe.recv()) == LISTENS:
                    self._listens.set()
                else:
                    self._fail(*said)
        self._listens.set()

    def _fail(self, why: str, time_s: float | None = None) -> None:
        self.failure = self.failure or why
        self.failed_s = self.failed_s or time_s or time.monotonic()


def _serve(pipe: Connection, folder: Path, videos: bool) -> None:
    """Record until the loop says quit, or is gone."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        pipe.send(LISTENS)
    journal: Journal | None = None
    failed = False  # until the next episode begins
    while True:
        try:
            kind, *values = pipe.recv()
        except (EOFError, OSError):
            kind, values = "quit", []
        try:
            if kind == "begin":
                failed = False
                journal = _begin(folder, values[0])
            elif kind == "goal" and journal is not None and not failed:
                before, journal = journal, None
                before.end(success=False, extra={"ended": "the goal was changed"})
                finish(before.path, folder, videos=videos)
                journal = _begin(folder, replace(before.header, goal=values[0], regions=values[1]))
            elif kind == "step" and journal is not None and not failed:
                journal.append(values[0])
            elif kind == "end" and journal is not None:
                finished, journal = journal, None
                finished.end(success=values[0], extra=values[1])
                finish(finished.path, folder, videos=videos)
            elif kind == "quit":
                if journal is not None:
                    journal.close()
                    finish(journal.path, folder, videos=videos)
                return
        except Exception as error:  # whatever it is, the arm goes on and the person is told
            failed = True
            if journal is not None:
                journal.close()
            with contextlib.suppress(OSError):
                pipe.send((f"the recording failed: {error}", time.monotonic()))
            if kind == "quit":
                return


def _begin(folder: Path, header: Header) -> Journal:
    """Open a journal under the header's index, or the next one where a change of goal took it."""
    free = next_index(folder)
    header = replace(header, index=max(header.index, free))
    return Journal(_journal_path(folder, header.index), header)


def finish(path: Path, folder: Path, *, videos: bool = False) -> Episode | None:
    """Make an episode of a journal, atomically, and remove the journal; None where it has no
    step.
    """
    episode = read_journal(path, extra=KILLED)
    if episode is not None:
        store = EpisodeStore(folder / EPISODES)
        if episode.index not in store.indices():  # else: killed between this and its removal
            store.append(episode)
        _append_corrections(episode, folder)
        if videos:
            _write_video(episode, folder / VIDEOS / f"{episode.index:06d}.mp4")
    path.unlink()
    return episode


def recover(folder: Path) -> list[int]:
    """Make episodes of journals that no living process writes; return their indices."""
    found = []
    for path in sorted((folder / JOURNALS).glob(f"*{SUFFIX}")):
        if is_being_written(path):
            continue
        try:
            episode = finish(path, folder)
        except Exception as error:  # one that cannot be read must not keep others from beginning
            kept = path.rename(path.with_suffix(".bad"))
            warnings.warn(
                f"the journal {kept} makes no episode ({error}); it is kept", stacklevel=2
            )
            continue
        if episode is not None:
            found.append(episode.index)
    return found


def complete(folder: Path) -> None:
    """Make what was recorded LeRobot datasets, whose numbers depend on all their episodes."""
    for name in (EPISODES, CORRECTIONS):
        store = EpisodeStore(folder / name)
        if len(store):
            store.finalize()


def next_index(folder: Path) -> int:
    """Return the first episode index that neither an episode nor a journal has."""
    taken = EpisodeStore(folder / EPISODES).indices() | {
        int(path.stem) for path in (folder / JOURNALS).glob(f"*{SUFFIX}")
    }
    return max(taken, default=-1) + 1


def _append_corrections(episode: Episode, folder: Path) -> None:
    store = EpisodeStore(folder / CORRECTIONS)
    done = {store.summary(index).extra["correction_of"] for index in store.indices()}
    if str(episode.index) in done:
        return
    for part in corrections_of(episode, first_index=max(store.indices(), default=-1) + 1):
        store.append(part)


def _write_video(episode: Episode, path: Path) -> None:
    """Write the first camera's frames with the mask drawn on them."""
    camera = next(iter(episode.images))
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [
        drawn(image, labels)
        for image, labels in zip(episode.images[camera], episode.labels[camera], strict=True)
    ]
    write_video(path, np.stack(frames), fps=round(1 / episode.control_dt_s))


def _journal_path(folder: Path, index: int) -> Path:
    return folder / JOURNALS / f"{index:06d}{SUFFIX}"
