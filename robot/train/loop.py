"""The one training loop, for every module with `.loss(batch, generator) -> (B,)`."""

from __future__ import annotations

import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.dwsl import weighted
from robot.system.device import pick_device, pick_dtype
from robot.train.ema import decay_at, make_average, update_average
from robot.train.options import Training
from robot.train.resume import load_state, save_state
from robot.types import InputError

Log = Callable[[int, Mapping[str, float]], None]  # (finished steps, values)


def train(
    module: nn.Module,
    batches: Callable[[int], Iterable[Any]] | Iterable[Any],
    training: Training,
    *,
    generator: torch.Generator | None = None,
    checkpoint_dir: Path | str | None = None,
    log: Log | None = None,
) -> nn.Module:
    """Train the module in place and return the moving average of its weights, in eval mode, on the
    device.

    `batches` yields batches (with `.to(device)`), or pairs of a batch and weights (B,) >= 0 that
    multiply the per-sample loss and are scaled to mean 1. Pass a function of the first step rather
    than an iterator: after a resume it starts where the run was cut off, whereas an iterator has to
    be wound forward. A stream that draws from the same `generator` needs neither, because the
    generator's state is restored: `lambda start: windows.batches(..., generator=generator)`.

    With `checkpoint_dir`, a run that was killed resumes from its last checkpoint and ends as if it
    had not been; SIGTERM and Ctrl-C write one before they end it. Raises InputError when the loss
    is not finite.
    """
    place = pick_device(training.device)
    dtype = pick_dtype(training.precision, place)
    steps = training.steps
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    generator = torch.Generator().manual_seed(0) if generator is None else generator

    module.to(place).train()
    average = make_average(module)
    optimizer = torch.optim.AdamW(
        decay_groups(module, training.weight_decay),
        lr=training.learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    everything = {
        "module": module,
        "average": average,
        "optimizer": optimizer,
        "generator": generator,
    }
    start = load_state(directory, **everything) if directory else 0
    stream = iter(batches(start)) if callable(batches) else itertools.islice(batches, start, None)

    began = time.monotonic()
    with stop_signals() as received:
        for step in range(start, steps):
            batch, weights = _next_batch(stream, step)
            rate = cosine_rate(
                step,
                steps=steps,
                peak=training.learning_rate,
                warmup_steps=training.warmup_steps,
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(place.type, dtype=dtype, enabled=dtype != torch.float32):
                per_sample = module.loss(batch.to(place), generator)  # type: ignore[operator]
            loss = weighted_mean(per_sample.float(), None if weights is None else weights.to(place))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(module.parameters(), training.grad_clip)
            if not math.isfinite(loss.item() + norm.item()):
                raise InputError(
                    f"got loss {loss.item()} with gradient norm {norm.item()} at step {step}, "
                    "expected finite numbers: "
                    "check the batch for NaN, lower learning_rate, or set precision to fp32"
                )
            optimizer.step()
            update_average(average, module, decay=decay_at(step, training.ema_decay))

            done = step + 1
            if log and (done % training.log_every == 0 or done == steps):
                step_ms = 1000 * (time.monotonic() - began) / (done - start)
                log(
                    done,
                    {
                        "loss": loss.item(),
                        "grad_norm": norm.item(),
                        "learning_rate": rate,
                        "step_ms": step_ms,
                    },
                )
            if directory and (done % training.checkpoint_every == 0 or done == steps or received):
                save_state(directory, step=done, **everything)
            if received:
                raise SystemExit(128 + received[0])
    return average


def _next_batch(stream: Iterator[Any], step: int) -> tuple[Any, Tensor | None]:
    item = next(stream, None)
    if item is None:
        raise InputError(
            f"got no batch for step {step}, expected one for every step: pass an endless iterator"
        )
    return item if isinstance(item, tuple) else (item, None)


def weighted_mean(per_sample: Tensor, weights: Tensor | None) -> Float[Tensor, ""]:
    """Return the mean loss with weights scaled to mean 1, both (B,) or InputError; weights that are
    all 0 give 0.
    """
    if weights is None:
        return per_sample.mean()
    return weighted(per_sample, weights).sum() / weights.sum().clamp(min=1e-8)


def cosine_rate(step: int, *, steps: int, peak: float, warmup_steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then a half cosine from `peak` to 0."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return (
        peak * 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(steps - warmup_steps, 1)))
    )


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters: weight decay for matrices and kernels, none for biases and
    scales.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    matrices, vectors = (
        [p for p in parameters if p.ndim >= 2],
        [p for p in parameters if p.ndim < 2],
    )
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT instead of dying of them, so that the step in flight can end (main
    thread only).
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    previous = {
        s: signal.signal(s, lambda number, _: received.append(number))
        for s in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
