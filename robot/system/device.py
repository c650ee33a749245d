"""Where to compute, and with how many bits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from robot.types import InputError

PRECISIONS = ("auto", "bf16", "fp32")
_BF16_INSTRUCTIONS = ("amx_tile", "avx512_bf16", "bf16")  # as torch.cpu.get_capabilities names them
# Highest instruction set that a library may use, and the values that leave bfloat16 in reach.
_CAPS = {
    "ONEDNN_MAX_CPU_ISA": ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT"),
    "DNNL_MAX_CPU_ISA": ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT"),
    "ATEN_CPU_CAPABILITY": ("AVX512", "AMX", "SVE"),
}


def pick_device(name: str | None = None) -> torch.device:
    """Return the named device, or the best that this machine has: cuda, mps, cpu."""
    if name is not None:
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise InputError(
                f"got device {name!r}, expected one of this machine: leave it out to pick the best"
            ) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware; elsewhere bf16 autocast is slower
    than float32. A processor whose instruction set is capped by the environment does not.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has = any(capabilities.get(name, False) for name in _BF16_INSTRUCTIONS)
        return has and not is_capped(os.environ)
    return False


def is_capped(environment: Mapping[str, str]) -> bool:
    """Return whether the environment keeps oneDNN or ATen from the processor's bfloat16 units."""
    caps = {name: environment.get(name, "").upper() for name in _CAPS}
    return any(cap and not any(ok in cap for ok in _CAPS[name]) for name, cap in caps.items())


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the autocast type: bfloat16 for "bf16" and for "auto" where the hardware has it,
    otherwise float32.
    """
    if precision not in PRECISIONS:
        raise InputError(f"got precision {precision!r}, expected one of {list(PRECISIONS)}")
    wanted = precision == "bf16" or (precision == "auto" and has_bf16(device))
    return torch.bfloat16 if wanted else torch.float32


@contextmanager
def one_thread(*, when: bool = True) -> Iterator[None]:
    """Give torch one thread within, where work is so small that threads wait for each other longer
    than they compute.
    """
    threads = torch.get_num_threads()
    if not when or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
