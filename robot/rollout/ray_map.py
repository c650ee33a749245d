"""`parallel_map` on a Ray cluster: the same work, the same results, other machines' processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

from robot.types import InputError

Result = TypeVar("Result")


def check_ray() -> None:
    """Raise InputError unless Ray is installed."""
    if find_spec("ray") is None:
        raise InputError(
            "got ray=true without the package ray, expected the extra; run "
            'pip install "ivm-robot[ray]", or pass workers=N'
        )


def ray_map(
    make_work: Callable[[], Callable[[int], Result]], items: Sequence[int], *, workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield (item, work(item)) as they are done, by `workers` actors of the cluster that
    `RAY_ADDRESS` names, or of a local one. Data sets lie in a folder that all machines share.
    """
    check_ray()
    import ray  # pyright: ignore[reportMissingImports]

    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False)
    actor: Any = ray.remote(_Worker)
    actors = [actor.remote(make_work) for _ in range(min(workers, len(items)))]
    waiting, busy = list(items), {}
    for one in actors:
        if waiting:
            item = waiting.pop(0)
            busy[one.run.remote(item)] = one, item
    while busy:
        (done,), _ = ray.wait(list(busy), num_returns=1)
        one, item = busy.pop(done)
        yield item, ray.get(done)
        if waiting:
            following = waiting.pop(0)
            busy[one.run.remote(following)] = one, following
    ray.shutdown()


class _Worker:
    """One process of the cluster."""

    def __init__(self, make_work: Callable[[], Callable[[int], Any]]) -> None:
        self._work = make_work()

    def run(self, item: int) -> Any:
        return self._work(item)
