"""Clocks, percentiles, and what a time depends on besides the code."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from robot.system.device import has_bf16


@torch.inference_mode()
def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - processor_s


def percentiles(values_ms: Float[np.ndarray, " n"]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    p50, p99 = np.percentile(values_ms, (50, 99)).tolist()
    return {"p50_ms": p50, "p99_ms": p99}


def describe_machine(*, load_before: float) -> dict[str, Any]:
    """Return what the times depend on besides the code."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg()[0],
        "niceness": os.nice(0),
        "mask_head_precision": "bf16" if has_bf16(torch.device("cpu")) else "fp32",
        "torch": torch.__version__,
    }


def said_of_load(machine: Mapping[str, Any]) -> str:
    """Return how busy the machine was: "load 0.3 before, 1.1 after"."""
    return (
        f"load {machine['load_average_before']:.1f} before, {machine['load_average_after']:.1f} "
        "after"
    )
