"""Measure what a training step costs on this machine: mask head, policy with tokens, policy with
the CNN of whole frames, in the default configuration.

    python benchmarks/training_step.py [--steps 30] [--device cuda] [--precision auto] [--threads 1]

Each module goes through the training loop itself (robot.train.loop: loss, backward pass, clipping,
AdamW, moving average) on batches drawn at random whose masks keep as many patches as those of
`pick` do; loading, masking and augmenting demonstrations is not in it. `p50_ms` and `p99_ms` of
results.json are the policy with tokens; every module's are under `modules`. The last line on stdout
is the path of results.json.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.diffusion_policy import UNIT
from benchmarks.timing import describe_machine, percentiles, said_of_load
from robot.batch import (
    LANGUAGE_DIM,
    LanguageTokens,
    MaskBatch,
    PolicyBatch,
    PolicyObservation,
)
from robot.checkpoint import git_revision
from robot.language import MAX_TOKENS
from robot.perception.head.mask_head import MaskHead
from robot.policy import make_policy
from robot.system.command import main_guard, run_directory, write_results
from robot.system.device import PRECISIONS, pick_device
from robot.train.loop import Training, train
from robot.types import InputError

WARM_UP = 5  # steps
HEAD_BATCH, POLICY_BATCH = 32, 64  # mask_batch_size, batch_size
KEPT = (28, 87)  # patches of 256 that a mask keeps: agentview, wrist
WORDS = 9  # tokens of a goal
CONSOLE = Console(stderr=True)


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    load_before = os.getloadavg()[0]
    training = Training(
        steps=WARM_UP + options.steps,
        device=options.device,
        precision=options.precision,
        log_every=1,
    )
    modules = {
        name: percentiles(step_times(make(), batch, training))
        for name, (make, batch) in things_to_train().items()
    }
    place = pick_device(options.device)
    machine = describe_machine(load_before=load_before) | {
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
    }
    _print_table(modules, machine)
    results = {
        **modules["policy, tokens"],
        "modules": modules,
        "machine": machine,
        "git_revision": git_revision(),
        "options": vars(options),
    }
    write_results(run_directory("bench-training-step", root=options.runs), results)


def things_to_train() -> dict[str, tuple[Callable[[], nn.Module], Any]]:
    """Return, by name, how to make a module and a batch for it."""

    def policy(**encoder: Any) -> Callable[[], nn.Module]:
        return lambda: make_policy("diffusion", statistics=UNIT, options={"cameras": 2, **encoder})

    return {
        f"mask head, batch {HEAD_BATCH}": (lambda: MaskHead(cameras=2), head_batch()),
        "policy, tokens": (policy(), policy_batch(masked=True)),
        "policy, cnn": (policy(vision="cnn", stride=2), policy_batch(masked=False)),
    }


def step_times(module: nn.Module, batch: Any, training: Training) -> np.ndarray:
    """Return the milliseconds of each step after the warm-up."""
    ends_ms: list[float] = []

    def note(done: int, values: Mapping[str, float]) -> None:
        ends_ms.append(done * values["step_ms"])  # of all steps so far, the device's work included

    train(module, itertools.repeat(batch), training, log=note)
    return np.diff(ends_ms)[WARM_UP - 1 :]


def head_batch() -> MaskBatch:
    """Return frames, sentences and labels at random."""
    frames = torch.randint(0, 256, (HEAD_BATCH, 3, 128, 128), dtype=torch.uint8)
    labels = torch.zeros(HEAD_BATCH, 128, 128, dtype=torch.uint8)
    labels[:, 40:60, 40:60], labels[:, 80:100, 30:90] = 1, 2
    return MaskBatch(
        frames=frames,
        language=_language(HEAD_BATCH),
        labels=labels,
        presence=torch.ones(HEAD_BATCH, 2),
    )


def policy_batch(*, masked: bool) -> PolicyBatch:
    """Return what a policy learns from: composites that keep some patches, or all of them."""
    images = torch.rand(POLICY_BATCH, 2, 6, 64, 64)
    if masked:
        images[:, :, 3:] = 0.0
        for camera, kept in enumerate(KEPT):
            images[:, camera, 3].view(POLICY_BATCH, 16, 4, 64)[:, : kept // 16] = 1.0
            images[:, camera, 3, 4 * (kept // 16), : 4 * (kept % 16)] = 1.0
    return PolicyBatch(
        observation=PolicyObservation(
            images=images,
            proprio=torch.rand(POLICY_BATCH, 10),
            language=_language(POLICY_BATCH),
        ),
        actions=torch.rand(POLICY_BATCH, 16, 7),
        valid=torch.ones(POLICY_BATCH, 16, dtype=torch.bool),
    )


def _language(count: int) -> LanguageTokens:
    valid: Tensor = (torch.arange(MAX_TOKENS) < WORDS).expand(count, -1).clone()
    return LanguageTokens(tokens=torch.randn(count, MAX_TOKENS, LANGUAGE_DIM), valid=valid)


def _print_table(modules: Mapping[str, Mapping[str, float]], machine: Mapping[str, Any]) -> None:
    table = Table(
        title=f"{machine['processor']}, {machine['device']}, {machine['threads']} threads, "
        f"{said_of_load(machine)}"
    )
    for heading in ("training step", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading == "training step" else "right")
    for name, of in modules.items():
        table.add_row(name, *(f"{of[key]:.1f}" for key in ("p50_ms", "p99_ms")))
    Console(width=max(CONSOLE.width, 100)).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30, help="to time per module, after warm-up")
    parser.add_argument("--device", default=None, help="cuda, mps or cpu; the best by default")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--threads", type=int, default=1, help="torch's, as when arms train")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder under which results are written"
    )
    options = parser.parse_args(arguments)
    for name in ("steps", "threads"):
        if getattr(options, name) < 1:
            raise InputError(
                f"got --{name} {getattr(options, name)}, expected at least 1; pass a larger number"
            )
    return options


if __name__ == "__main__":
    main()
