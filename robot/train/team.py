"""One training by several processes, as torchrun starts them.

    torchrun --nproc-per-node=2 --local-ranks-filter 0 launch/train_given.py path=... batch_size=32

Every process descends the mean gradient of the batches of all of them, so that all weights stay
equal: two processes do with half the `batch_size` what one does with the whole. Gradients are added
up by hand rather than by DistributedDataParallel, which wraps `forward`; modules here are trained
by `loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from robot.system.torchrun import Place, place
from robot.train.by_step import ByStep
from robot.types import InputError

Value = TypeVar("Value")
Batches = Callable[[int], Iterable[Any]] | Iterable[Any]


@dataclass(frozen=True)
class Team:
    """The processes of one training; alone, every method costs nothing."""

    place: Place = Place()

    @property
    def alone(self) -> bool:
        return self.place.size == 1

    def first_says(self, value: Value) -> Value:
        """Return what the first process passed."""
        if self.alone:
            return value
        said = [value]
        distributed.broadcast_object_list(said)
        return said[0]

    def batches(self, batches: Batches, *, start: int, ahead: bool = False) -> Iterator[Any]:
        """Return this process's batches from a step on: of the stream's batches, every `size`-th;
        with `ahead` made before they are needed, where that can be. InputError for a stream that
        cannot be asked for a step of its own.
        """
        mine = (step * self.place.size + self.place.rank for step in count(start))
        if isinstance(batches, ByStep):
            return batches.ahead(mine) if ahead else map(batches.make, mine)
        if self.alone:
            return iter(batches(start)) if callable(batches) else islice(batches, start, None)
        if not callable(batches):
            raise InputError(
                "got an iterator of batches under torchrun, expected a function of the first step: "
                "processes take turns at its batches"
            )
        return (next(iter(batches(step))) for step in mine)

    def equal(self, module: nn.Module) -> None:
        """Give a module the first process's weights."""
        if not self.alone:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def differs(self, generator: torch.Generator, *, step: int) -> None:
        """Let helpers draw other noise than the first process, and than before a resume."""
        if self.place.helps:
            for source in (generator, torch):
                source.manual_seed(step * self.place.size + self.place.rank)

    def mean_gradients(
        self, parameters: Iterable[nn.Parameter], *, loss: float, stop: bool
    ) -> tuple[float, bool]:
        """Replace gradients by their mean over the processes; return the mean loss, and whether any
        process is to stop.
        """
        if self.alone:
            return loss, stop
        gradients = [_gradient(p) for p in parameters if p.requires_grad]
        told = gradients[0].new_tensor([loss, float(stop)])
        total = torch.cat([told, *(g.flatten() for g in gradients)])
        distributed.all_reduce(total)
        total[2:] /= self.place.size
        for gradient, mean in zip(gradients, _split(total[2:], gradients), strict=True):
            gradient.copy_(mean)
        return total[0].item() / self.place.size, bool(total[1] > 0)


@contextmanager
def joined(name: str, *, device: torch.device) -> Iterator[Team]:
    """Yield the team of the training `name`, once all its processes are there."""
    here = place()
    if here.size == 1:
        yield Team()
        return
    if device.type == "cuda":
        torch.cuda.set_device(here.rank % torch.cuda.device_count())
    store = next(rendezvous("env://"))[0]
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=PrefixStore(name, store),
        rank=here.rank,
        world_size=here.size,
    )
    try:
        yield Team(here)
    finally:
        distributed.destroy_process_group()


def _gradient(parameter: nn.Parameter) -> Tensor:
    """Return a parameter's gradient; zeros where this process's batch had none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _split(flat: Tensor, like: Sequence[Tensor]) -> Iterator[Tensor]:
    parts = flat.split([tensor.numel() for tensor in like])
    return (part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True))
