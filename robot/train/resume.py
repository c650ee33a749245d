"""The state of a training run in one file: what `train` needs to go on as if nothing had
happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robot.checkpoint import read_tensors, write_tensors
from robot.types import InputError

FILE_NAME = "training.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # AdamW's state of one parameter


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingState:
    """All that a training step changes, but for torch's own random state."""

    module: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator


def save_state(directory: Path, state: TrainingState, *, step: int) -> None:
    """Write weights, average, optimizer and random states after `step` finished steps,
    atomically.
    """
    tensors: dict[str, Tensor] = {
        "rng.torch": torch.get_rng_state(),
        "rng.generator": state.generator.get_state(),
    }
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    tensors |= {f"module.{k}": v for k, v in state.module.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.state_dict().items()}
    for i, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": moments[name] for name in MOMENTS}
    write_tensors(directory / FILE_NAME, tensors, {"step": step})


Saved = tuple[Mapping[str, Tensor], Mapping[str, Any]]  # tensors, header


def read_state(directory: Path) -> Saved | None:
    """Return what `save_state` wrote; None: there is nothing."""
    file = directory / FILE_NAME
    return read_tensors(file) if file.is_file() else None


def restore(state: TrainingState, saved: Saved, *, origin: Path) -> int:
    """Inverse of `save_state`: restore everything in place and return the number of finished
    steps.
    """
    tensors, header = saved

    def take(prefix):
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    try:
        state.module.load_state_dict(take("module."))
        state.average.load_state_dict(take("average."))
    except RuntimeError as error:
        raise InputError(
            f"got a training state in {origin} of another module, expected one of this "
            f"{type(state.module).__name__}: "
            "train in another folder or delete it"
        ) from error
    restore_moments(state.optimizer, take("optimizer."))
    torch.set_rng_state(tensors["rng.torch"])
    state.generator.set_state(tensors["rng.generator"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return int(header["step"])


def restore_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Put AdamW's state back, in the memory format of each parameter: its fused kernel walks
    through raw memory, and wants the step count on the parameter's device.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, parameter in enumerate(parameters):
        found = {name: moments[f"{i}.{name}"] for name in MOMENTS if f"{i}.{name}" in moments}
        if found:
            like = {
                name: torch.empty_like(parameter if value.ndim else value, device=parameter.device)
                for name, value in found.items()
            }
            optimizer.state[parameter] = {
                name: like[name].copy_(value) for name, value in found.items()
            }
