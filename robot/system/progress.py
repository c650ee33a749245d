"""Progress for people: bars in a terminal; in a log, which cannot move them, a line per bar every
now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 30.0
FIRST_LINES_S = (
    5.0  # between the first two, doubled up to LINE_EVERY_S: a new job shows that it runs
)
Announce = Callable[
    [str], None
]  # what a training does before and after its steps, for the text of its bar


def silent(text: str) -> None:
    """Tell nobody: what `announce` is where nobody listens."""


class Bars(Progress):
    """Bars with an ETA and a free text (`text`)."""

    def __init__(
        self,
        *,
        console: Console | None = None,
        hidden: bool = False,
        line_every_s: float = LINE_EVERY_S,
    ) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
        )
        super().__init__(
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=console,
            disable=hidden,
        )
        self._line_every_s = line_every_s
        self._next_line: dict[TaskID, tuple[float, float]] = {}  # when, and the pause after it
        self._whole: set[TaskID] = set()

    def update(self, task_id: TaskID, **change: Any) -> None:
        """Move a bar, and in a log write its line: at once, then ever more rarely up to one every
        `line_every_s`, and when it is full.
        """
        super().update(task_id, **change)
        if self.disable or self.console.is_terminal:
            return
        task, now = self._tasks[task_id], time.monotonic()
        due_s, wait_s = self._next_line.get(task_id, (now, FIRST_LINES_S))
        whole = task.total is not None and task.completed >= task.total
        if now < due_s and not (whole and task_id not in self._whole):
            return
        if whole:
            self._whole.add(task_id)
        self._next_line[task_id] = (now + wait_s, min(2 * wait_s, self._line_every_s))
        self.console.print(line_of(task), highlight=False)


def line_of(task: Task) -> str:
    """Return one line that says how far a task is."""
    left = (
        ""
        if task.time_remaining is None
        else f", ETA {timedelta(seconds=round(task.time_remaining))}"
    )
    done = f"{task.completed:g}" if task.total is None else f"{task.completed:g}/{task.total:g}"
    text = f"  {task.fields['text']}" if task.fields.get("text") else ""
    return (
        f"{task.description} {done} after {timedelta(seconds=round(task.elapsed or 0))}{left}{text}"
    )


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show one progress bar; yields what moves it: `(done, in all)`."""
    with Bars() as progress:
        task = progress.add_task(description, total=None, text="")
        yield lambda done, of: progress.update(task, completed=done, total=of)


def moving(progress: Progress, description: str) -> Callable[[int, int], None]:
    """Add a bar and return what moves it: `(done, in all)`."""
    bar: TaskID = progress.add_task(description, total=None, text="")
    return lambda done, of: progress.update(bar, completed=done, total=of)
