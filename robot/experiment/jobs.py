"""Trainings side by side, one process and one core each, with one set of progress bars."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from robot.checkpoint import FILE_NAME
from robot.system.cache import key
from robot.system.command import plain
from robot.system.folder_lock import locked
from robot.system.interrupt import SAVE_S, starting_processes
from robot.system.parallel import begin_worker, worker_pool
from robot.train.log import RunLog

POLL_S = 0.5


@dataclass(frozen=True)
class StageId:
    """Which training: of what, for which arm (None: for all) and training seed."""

    kind: str  # "policy", "mask head", "demonstration discriminator", ...: for people
    arm: str | None = None
    seed: int | None = None  # None where there is only one

    def __str__(self) -> str:
        parts = (self.kind, self.arm, None if self.seed is None else f"seed {self.seed}")
        return " ".join(part for part in parts if part is not None)


@dataclass(frozen=True)
class Stage:
    """One training: `train(directory=..., log=..., announce=..., **needed)` returns a checkpoint.

    `needs` maps keywords of `train` to the stages whose checkpoints they take; `waits_for` are
    stages that must be done before, too.
    """

    id: StageId
    train: Callable[..., Path]
    steps: int
    directory: Path
    needs: Mapping[str, StageId] = field(default_factory=dict)
    waits_for: tuple[StageId, ...] = ()
    wandb_mode: str = "auto"

    @property
    def log(self) -> Path:
        return self.directory / "log.jsonl"


def make_stage(
    identity: StageId,
    train: Callable[..., Path],
    options: object,
    *,
    name: str,
    steps: int,
    root: Path,
    wandb_mode: str,
    waits_for: Sequence[StageId] = (),
    **inputs: object,
) -> Stage:
    """Return the stage that calls `train(options, **inputs)`, where an input that is a stage stands
    for its checkpoint.

    Its folder is `root`/models/`name`-<key>, and the key is a function of exactly these arguments:
    what is not in it does not reach the training. A stage counts by its folder.
    """
    needed = {option: made for option, made in inputs.items() if isinstance(made, Stage)}
    given = {option: value for option, value in inputs.items() if option not in needed}
    made_in = {option: stage.directory for option, stage in needed.items()}
    return Stage(
        identity,
        partial(train, options, **given),
        steps,
        root / "models" / key(name, {"options": options, **given, **made_in}),
        needs={option: stage.id for option, stage in needed.items()},
        waits_for=tuple(waits_for),
        wandb_mode=wandb_mode,
    )


@dataclass(frozen=True)
class Trained:
    """The checkpoint of every stage, and the seconds of each that was not there already."""

    checkpoints: Mapping[StageId, Path]
    seconds: Mapping[StageId, float]


class Watch:
    """Seconds of every stage of a command, for the report."""

    def __init__(self) -> None:
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.stage_s[stage] = time.monotonic() - began


def run_stages(stages: Sequence[Stage], *, workers: int, progress: Progress) -> Trained:
    """Run every stage once what it needs is there, up to `workers` at once, the first ones first.

    An exception in a stage is raised here after the others were told to stop; what they had is in
    their checkpoints.
    """
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    bars = {
        stage.id: progress.add_task(str(stage.id), total=stage.steps, start=False, text="waits")
        for stage in stages
    }
    with (
        reader,
        writer,
        # told to stop, the running ones write a checkpoint and leave
        worker_pool(
            workers, grace_s=SAVE_S, initializer=_begin, initargs=(writer, context.Lock())
        ) as pool,
    ):
        return _run_ready(stages, pool, lambda: _show(reader, progress, bars))


News = tuple[StageId, int | None, str]  # (which, finished steps, what it does)
_put: Callable[[News], None] | None = None  # of this process


def _begin(writer: Connection, lock: Lock) -> None:
    """Let a worker send news, which nobody may hear any more when it is told to stop."""
    global _put
    begin_worker()

    def put(news: News) -> None:
        if not lock.acquire(timeout=1.0):  # a process was killed while it held it
            return
        try:
            with suppress(OSError):
                writer.send(news)
        finally:
            lock.release()

    _put = put


def _run_ready(
    stages: Sequence[Stage], pool: ProcessPoolExecutor, show: Callable[[], None]
) -> Trained:
    waiting = list(stages)
    running: dict[Future[tuple[Path, float | None]], StageId] = {}
    checkpoints: dict[StageId, Path] = {}
    seconds: dict[StageId, float] = {}
    while waiting or running:
        for stage in [stage for stage in waiting if _ready(stage, checkpoints)]:
            needed = {option: checkpoints[earlier] for option, earlier in stage.needs.items()}
            with starting_processes():
                running[pool.submit(_run, stage, needed)] = stage.id
            waiting.remove(stage)
        if not running:
            raise RuntimeError(f"got stages that wait for each other: {[s.id for s in waiting]}")
        show()
        for future in [future for future in running if future.done()]:
            identity = running.pop(future)
            checkpoints[identity], took_s = future.result()
            if took_s is not None:
                seconds[identity] = took_s
    show()
    return Trained(checkpoints, seconds)


def _ready(stage: Stage, done: Mapping[StageId, Path]) -> bool:
    return all(earlier in done for earlier in (*stage.needs.values(), *stage.waits_for))


def _show(reader: Connection, progress: Progress, bars: Mapping[StageId, TaskID]) -> None:
    """Move the bars for POLL_S seconds, or until there is no news."""
    deadline = time.monotonic() + POLL_S
    while reader.poll(max(0.0, deadline - time.monotonic())):
        identity, step, text = reader.recv()
        progress.start_task(bars[identity])  # its time counts from its first news on
        progress.update(bars[identity], completed=step, text=text)


def config_of(stage: Stage) -> dict[str, Any]:
    """Return what a training run is to be found by: its options as plain values."""
    arguments = getattr(stage.train, "args", ())
    options = [plain(part) for part in arguments if is_dataclass(part)]
    merged = {name: value for part in options for name, value in part.items()}
    return {"stage": str(stage.id), "steps": stage.steps, **merged}


def _run(stage: Stage, needed: Mapping[str, Path]) -> tuple[Path, float | None]:
    """Run one stage in this process; return its checkpoint and its seconds, None where it was done
    before.
    """
    assert _put is not None
    put = _put

    def announce(text: str) -> None:
        put((stage.id, None, text))

    with locked(stage.directory, waiting=partial(announce, "waits for another command")):
        began, done_before = time.monotonic(), (stage.directory / FILE_NAME).is_file()
        with RunLog(
            stage.directory,
            name=str(stage.id),
            wandb_mode=stage.wandb_mode,
            config=config_of(stage),
        ) as run:

            def log(step: int, values: Mapping[str, float]) -> None:
                run(step, values)
                put((stage.id, step, f"loss {values['loss']:.4f}"))

            announce("")
            made = stage.train(directory=stage.directory, log=log, announce=announce, **needed)
    put((stage.id, stage.steps, ""))
    return made, None if done_before else time.monotonic() - began
