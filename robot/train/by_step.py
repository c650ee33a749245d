"""Batches of which each depends on its step alone: taken in turn, or made ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import Generic, TypeVar

import torch

Batch = TypeVar("Batch")

THREADS = 3  # changing the pictures of a batch takes a core 37 to 46 ms, a GPU's step 20 to 35


@dataclass(frozen=True)
class ByStep(Generic[Batch]):
    """`make` returns the batch of a step; as a function of the first step, all from there on."""

    make: Callable[[int], Batch]

    def __call__(self, step: int) -> Iterator[Batch]:
        return map(self.make, count(step))

    def ahead(self, steps: Iterable[int], *, threads: int = THREADS) -> Iterator[Batch]:
        """Yield the batches of some steps in their order; up to twice as many as there are threads
        are made before they are asked for. What making one raises is raised in its turn.
        """
        steps = iter(steps)
        pool = ThreadPoolExecutor(
            threads,
            thread_name_prefix="batches",
            initializer=torch.set_num_threads,  # counts for the thread that calls it alone
            initargs=(torch.get_num_threads(),),
        )
        try:
            waiting = deque(pool.submit(self.make, step) for step in islice(steps, 2 * threads))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(self.make, step) for step in islice(steps, 1))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)
