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
        self._last_line_s: dict[TaskID, float] = {}

    def update(self, task_id: TaskID, **change: Any) -> None:
        """Move a bar, and in a log write its line when the last one is old enough."""
        super().update(task_id, **change)
        if self.disable or self.console.is_terminal:
            return
        now = time.monotonic()
        if now - self._last_line_s.setdefault(task_id, now) >= self._line_every_s:
            self._last_line_s[task_id] = now
            self.console.print(line_of(self._tasks[task_id]), highlight=False)


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
