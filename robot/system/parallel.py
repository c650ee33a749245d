"""Whole episodes in parallel: one process per env, spawned, because envs of one process can swap
framebuffers.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from robot.system.interrupt import end_processes, starting_processes

Result = TypeVar("Result")
Work = Callable[[int], Result]
MANAGER_S = 1.0  # for the pool's own thread to see that its processes have ended

_make_work: Callable[[], Work] | None = None  # of this process, told when it begins
_work: Work | None = None  # made at its first item


def parallel_map(
    make_work: Callable[[], Work[Result]], items: Sequence[int], *, workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield (item, work(item)) as they are done. `make_work` (picklable) runs once in each process
    and returns `work`.

    One worker runs in this process. An exception in a worker is raised here, and ends the others.
    """
    workers = min(workers, len(items))
    if not items:
        return
    if workers <= 1:
        work = make_work()
        with _one_core():
            for item in items:
                yield item, work(item)
        return
    with worker_pool(workers, initializer=_begin, initargs=(make_work,)) as pool:
        with starting_processes():
            futures = {pool.submit(_run, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()


@contextmanager
def worker_pool(
    workers: int,
    *,
    grace_s: float = 0.0,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of spawned processes. An exception within, or Ctrl-C, ends them: what they write
    is whole files or nothing, so all that is lost is what was in flight.

    `grace_s` is what they get after SIGTERM to save. Submit within `starting_processes`: that is
    where processes begin.
    """
    context = multiprocessing.get_context("spawn")
    with starting_processes():  # multiprocessing's tracker of semaphores
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=initializer, initargs=initargs
        )
    try:
        yield pool
    except BaseException:
        processes = list((pool._processes or {}).values())
        manager = cast(threading.Thread | None, pool._executor_manager_thread)
        pool.shutdown(wait=False, cancel_futures=True)  # before they take what is queued
        end_processes(processes, grace_s=grace_s)
        if manager is not None:  # or it closes a pipe that concurrent.futures writes to at exit
            manager.join(MANAGER_S)
        raise
    pool.shutdown(wait=True)


def available_workers() -> int:
    """Return how many processes fit this machine's cores."""
    return max(1, len(os.sched_getaffinity(0)))


@contextmanager
def _one_core() -> Iterator[None]:
    """Give torch one thread within, if it is there: work that needs none does not wait for it."""
    if "torch" not in sys.modules:
        yield
        return
    from robot.system.device import one_thread

    with one_thread():
        yield


def begin_worker() -> None:
    """Give this process one core (torch's threads of several processes would fight over them), and
    its parent's lifetime.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # for a torch that is imported later; importing takes long
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    end_with_parent()


def end_with_parent() -> None:
    """End this process when its parent dies, even of SIGKILL: it would go on with work that the
    next start does too.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _begin(make_work: Callable[[], Work]) -> None:
    global _make_work
    begin_worker()
    _make_work = make_work  # once a process and not with every item: it may hold thousands of jobs


def _run(item: int) -> Any:
    global _work
    if _work is None:
        assert _make_work is not None
        _work = (
            _make_work()
        )  # here: an exception in an initializer would break the pool instead of being told
    return _work(item)
