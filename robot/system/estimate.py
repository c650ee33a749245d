"""How long a job will take on this machine, before it starts: planned work x measured seconds per
unit of it (`step_times.yaml`), scaled by how fast this machine is.

    plan = [
        Work("collection", "demonstration", 300, parallel=True),
        Work("training", "mask_head_step", 300, chain="masked"),
        Work("training", "policy_step_tokens", 1600, chain="masked"),
        Work("training", "policy_step_cnn", 4800, chain="unmasked"),
        Work("evaluation", "episode", 300, parallel=True),
    ]
    machine = this_machine()
    print(sentence(estimate(plan, machine=machine, times=read_times(), workers=2), machine=machine))
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch.nn import functional as F

from robot.system.device import has_bf16, pick_device
from robot.types import InputError

TIMES = Path(__file__).with_name("step_times.yaml")
PROBE_S = 0.15  # of each of the two probes


@dataclass(frozen=True)
class Work:
    """`count` units of work of one kind, done in `stage`: the name that people are shown.

    Works of one stage run side by side, as far as there are workers, but for those of one `chain`,
    which wait for each other; `parallel` work is itself divided among all workers, other work is
    one process.
    """

    stage: str
    unit: str  # one of the units in step_times.yaml
    count: float
    parallel: bool = False
    chain: str = ""


@dataclass(frozen=True)
class Machine:
    """What the time depends on besides the work; probes are seconds for a fixed piece of work."""

    name: str
    cores: int
    bf16: bool
    arithmetic_s: float  # convolutions and matrix products, one thread, in the training's precision
    interpreter_s: float  # plain Python


@dataclass(frozen=True)
class StepTimes:
    """Seconds per unit on one processor core of the machine that was measured, with what its probes
    took, in one precision.
    """

    arithmetic_s: float
    interpreter_s: float
    arithmetic: Mapping[str, float]  # units that compute: scaled by the arithmetic probe
    simulation: Mapping[str, float]  # units that simulate and render: by the interpreter's

    def seconds(self, unit: str, *, machine: Machine) -> float:
        """Return how long one unit takes on one core of `machine`."""
        if unit in self.arithmetic:
            return self.arithmetic[unit] * machine.arithmetic_s / self.arithmetic_s
        if unit in self.simulation:
            return self.simulation[unit] * machine.interpreter_s / self.interpreter_s
        known = ", ".join([*self.arithmetic, *self.simulation])
        raise ValueError(f"got unit {unit!r}, expected one of {known}; add it to {TIMES.name}")


def read_times(path: Path = TIMES) -> dict[bool, StepTimes]:
    """Return what was measured with bfloat16 arithmetic (True) and without (False)."""
    data = yaml.safe_load(path.read_text())
    shared = {name: data[name] for name in ("interpreter_s", "simulation")}
    return {kind == "bf16": StepTimes(**shared, **data["kinds"][kind]) for kind in data["kinds"]}


def estimate(
    plan: Sequence[Work], *, machine: Machine, times: Mapping[bool, StepTimes], workers: int
) -> dict[str, float]:
    """Return the seconds that each stage takes, in the plan's order. Stages follow one another."""
    if workers < 1:
        raise InputError(f"got workers {workers}, expected at least 1; pass workers=1")
    lanes = min(workers, machine.cores)
    by_stage: dict[str, list[tuple[Work, float]]] = {}
    for work in plan:
        seconds = work.count * times[machine.bf16].seconds(work.unit, machine=machine)
        by_stage.setdefault(work.stage, []).append((work, seconds))
    return {stage: _makespan(works, lanes=lanes) for stage, works in by_stage.items()}


def _makespan(works: Sequence[tuple[Work, float]], *, lanes: int) -> float:
    """Return when the last lane is done: the longest chain that cannot be divided, or an equal
    share of all.
    """
    chains: dict[str, float] = {}
    for number, (work, seconds) in enumerate(works):
        if not work.parallel:
            name = work.chain or f"alone {number}"
            chains[name] = chains.get(name, 0.0) + seconds
    return max(sum(seconds for _, seconds in works) / lanes, *chains.values(), 0.0)


def sentence(stage_s: Mapping[str, float], *, machine: Machine) -> str:
    """Say it in one line: "about 24 minutes on this machine (AMD EPYC, 2 cores, no bfloat16):
    collection 4, training 16, evaluation 4".
    """
    total = _minutes(sum(stage_s.values()))
    unit = "minute" if total == "1" else "minutes"
    cores = f"{machine.cores} core{'s' * (machine.cores != 1)}"
    kind = "bfloat16" if machine.bf16 else "no bfloat16"
    parts = ", ".join(f"{stage} {_minutes(seconds)}" for stage, seconds in stage_s.items())
    return f"about {total} {unit} on this machine ({machine.name}, {cores}, {kind}): {parts}"


def _minutes(seconds: float) -> str:
    return "<1" if 0 < seconds < 30 else f"{seconds / 60:.0f}"


def this_machine() -> Machine:
    """Describe this machine; probing it takes about a third of a second."""
    bf16, threads = has_bf16(pick_device("cpu")), torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes that train do
    arithmetic_s = _probe(_arithmetic(torch.bfloat16 if bf16 else torch.float32))
    torch.set_num_threads(threads)
    return Machine(
        name=processor_name(),
        cores=os.cpu_count() or 1,
        bf16=bf16,
        arithmetic_s=arithmetic_s,
        interpreter_s=_probe(_count),
    )


def processor_name() -> str:
    """Return the processor's name without its clutter, or the architecture's."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    for clutter in ("(R)", "(TM)", "Processor", "CPU"):
        name = name.replace(clutter, "")
    return " ".join(name.split("@")[0].split())


def _probe(work: Callable[[], object]) -> float:
    """Return the processor seconds of the fastest run that fits into PROBE_S: what else the machine
    does slows down only some of them.
    """
    work()  # warm-up
    best, until = float("inf"), time.perf_counter() + PROBE_S
    while time.perf_counter() < until:
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def _arithmetic(dtype: torch.dtype) -> Callable[[], object]:
    """Return a convolution and a matrix product as training has them, on one thread."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 64, 32, 32, generator=generator).to(dtype)
    images = images.to(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, generator=generator).to(dtype)
    rows = torch.randn(1024, 256, generator=generator).to(dtype)
    matrix = torch.randn(256, 256, generator=generator).to(dtype)

    def work() -> None:
        with torch.inference_mode():
            F.conv2d(images, kernel, padding=1)
            torch.mm(rows, matrix)

    return work


def _count() -> int:
    return sum(k * k for k in range(20_000))
