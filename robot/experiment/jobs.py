"""Training jobs side by side, one process and one core each, with one set of progress bars for
people.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

from rich.progress import Progress

from robot.checkpoint import FILE_NAME
from robot.system.parallel import begin_worker, end_with_parent
from robot.train.log import RunLog

POLL_S = 0.5


@dataclass(frozen=True)
class Stage:
    """One training: `train(**options, log=..., announce=...)` returns a checkpoint. `name` is that
    of its bar, log and run.
    """

    name: str
    train: Callable[..., Path]
    steps: int
    directory: Path
    options: Mapping[str, Any]
    wandb_mode: str = "auto"


@dataclass(frozen=True)
class Chain:
    """Stages that need one another's results, in order: options of a later stage take the
    checkpoints of earlier ones.
    """

    stages: Sequence[Stage]
    feeds: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # stage -> its option -> the earlier stage


class Watch:
    """Seconds of every stage, for the report."""

    def __init__(self) -> None:
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.stage_s[stage] = time.monotonic() - began


def run_chains(
    chains: Sequence[Chain], *, workers: int, progress: Progress
) -> tuple[dict[str, Path], dict[str, float]]:
    """Run chains in parallel; return the checkpoint of every stage, and the seconds of each that
    was not there already.

    An exception in a stage is raised here after the others were told to stop; what they had is in
    their checkpoints.
    """
    context = multiprocessing.get_context("spawn")
    manager = SyncManager(ctx=context)
    manager.start(end_with_parent)
    news = manager.Queue()
    stages = {stage.name: stage for chain in chains for stage in chain.stages}
    tasks = {
        name: progress.add_task(name, total=stage.steps, start=False, text="waits")
        for name, stage in stages.items()
    }
    with ProcessPoolExecutor(workers, mp_context=context, initializer=begin_worker) as pool:
        futures = [pool.submit(_run_chain, chain, news) for chain in chains]
        try:
            while not all(future.done() for future in futures):
                _show(news, progress, tasks)
                for future in futures:
                    if future.done() and (error := future.exception()) is not None:
                        raise error
            _show(news, progress, tasks)
            results = [future.result() for future in futures]
        except BaseException:
            running = list((pool._processes or {}).values())
            pool.shutdown(
                wait=False, cancel_futures=True
            )  # before the workers are free for what has not begun
            for process in running:  # SIGTERM: the loop writes a checkpoint and leaves
                process.terminate()
            raise
    manager.shutdown()

    def merge(k):
        return {name: value for result in results for name, value in result[k].items()}

    return merge(0), merge(1)


def run_rounds(
    rounds: Sequence[Sequence[Chain]], *, workers: int, progress: Progress
) -> tuple[dict[str, Path], dict[str, float]]:
    """Run rounds of chains, each when the one before is done; return what `run_chains` does, of all
    of them.
    """
    made: dict[str, Path] = {}
    took: dict[str, float] = {}
    for chains in filter(None, rounds):
        checkpoints, seconds = run_chains(chains, workers=workers, progress=progress)
        made |= checkpoints
        took |= seconds
    return made, took


def _show(news: Any, progress: Progress, tasks: Mapping[str, Any]) -> None:
    deadline = time.monotonic() + POLL_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            name, step, text = news.get(timeout=left)
        except queue.Empty:
            return
        progress.start_task(tasks[name])  # its time counts from its first news on
        progress.update(tasks[name], completed=step, text=text)


def _run_chain(chain: Chain, news: Any) -> tuple[dict[str, Path], dict[str, float]]:
    made: dict[str, Path] = {}
    took: dict[str, float] = {}
    for stage in chain.stages:
        began, there = time.monotonic(), (stage.directory / FILE_NAME).is_file()
        fed = {option: made[earlier] for option, earlier in chain.feeds.get(stage.name, {}).items()}
        options = {**stage.options, **fed}
        with RunLog(stage.directory, name=stage.name, wandb_mode=stage.wandb_mode) as run:

            def log(
                step: int, values: Mapping[str, float], run: RunLog = run, name: str = stage.name
            ) -> None:
                run(step, values)
                news.put((name, step, f"loss {values['loss']:.4f}"))

            def announce(text: str, name: str = stage.name) -> None:
                news.put((name, None, text))

            announce("")
            made[stage.name] = stage.train(
                directory=stage.directory, log=log, announce=announce, **options
            )
        news.put((stage.name, stage.steps, ""))
        if not there:
            took[stage.name] = time.monotonic() - began
    return made, took
