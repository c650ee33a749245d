"""The one training loop, for every module with `.loss(batch, generator) -> (B,)`."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.dwsl import weighted
from robot.system.device import pick_device, pick_dtype
from robot.train.ema import decay_at, make_average, update_average
from robot.train.options import Training
from robot.train.resume import TrainingState, read_state, restore, save_state
from robot.train.team import Team, joined
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
    """Train the module in place; return the moving average of its weights, in eval mode.

    `batches` yields batches (with `.to(device)`), or pairs of a batch and weights (B,) >= 0 that
    multiply the per-sample loss and are scaled to mean 1. Pass a function of the first step rather
    than an iterator, which has to be wound forward after a resume; for a GPU, those of a `ByStep`
    are made ahead. A stream that draws from the same `generator`, whose state is restored, may
    ignore the step.

    With `checkpoint_dir`, a killed run resumes from its last checkpoint and ends as if it had not
    been; SIGTERM and Ctrl-C write one first. Under torchrun all processes train the same weights
    (robot.train.team), and the first writes. Raises InputError when the loss is not finite.
    """
    place = pick_device(training.device)
    dtype = pick_dtype(training.precision, place)
    state = make_state(module.to(place).train(), training, generator)
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    with joined("training" if directory is None else directory.parent.name, device=place) as team:
        start = begin_alike(state, team, directory=directory)
        stream = team.batches(batches, start=start, ahead=place.type == "cuda")
        began = time.monotonic()
        with stop_signals() as received, closed(stream):
            for step in range(start, training.steps):
                batch, weights = _next_batch(stream, step)
                loss = mean_loss(state, batch.to(place), weights, dtype=dtype)
                values, stop = descend(
                    state, loss, training, step=step, team=team, stop=bool(received)
                )
                done, last = step + 1, step + 1 == training.steps
                if log and (last or done % training.log_every == 0):
                    step_ms = 1000 * (time.monotonic() - began) / (done - start)
                    log(done, values | {"step_ms": step_ms})
                due = last or done % training.checkpoint_every == 0 or stop
                if directory and due and not team.place.helps:
                    save_state(directory, state, step=done)
                if stop:
                    raise SystemExit(128 + (received or [signal.SIGTERM])[0])
    return state.average


def begin_alike(state: TrainingState, team: Team, *, directory: Path | None) -> int:
    """Restore what a killed run left, in all processes of a team, and return its finished steps;
    processes of a new run begin with the first one's weights.
    """
    mine = not team.place.helps
    saved = team.first_says(read_state(directory) if directory and mine else None)
    start = 0 if saved is None else restore(state, saved, origin=directory or Path())
    for module in (state.module, state.average):
        team.equal(module)
    team.differs(state.generator, step=start)
    return start


def train_seeded(
    module: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    training: Training,
    *,
    directory: Path,
    seed: int,
    log: Log | None,
) -> nn.Module:
    """Train with a generator of its own; the state lies in `directory`/training."""
    return train(
        module,
        batches,
        training,
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
    )


def make_state(
    module: nn.Module, training: Training, generator: torch.Generator | None
) -> TrainingState:
    """Return the state before the first step."""
    optimizer = torch.optim.AdamW(
        decay_groups(module, training.weight_decay),
        lr=training.learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    return TrainingState(
        module=module,
        average=make_average(module),
        optimizer=optimizer,
        generator=torch.Generator().manual_seed(0) if generator is None else generator,
    )


def mean_loss(
    state: TrainingState, batch: Any, weights: Tensor | None, *, dtype: torch.dtype
) -> Float[Tensor, ""]:
    """Return the mean of the module's losses on a batch, weighted where there are weights."""
    place = next(state.module.parameters()).device.type
    with torch.autocast(place, dtype=dtype, enabled=dtype != torch.float32):
        per_sample = state.module.loss(batch, state.generator).float()  # type: ignore[operator]
    return weighted_mean(per_sample, None if weights is None else weights.to(per_sample.device))


def descend(
    state: TrainingState,
    loss: Float[Tensor, ""],
    training: Training,
    *,
    step: int,
    team: Team,
    stop: bool,
) -> tuple[dict[str, float], bool]:
    """Take one optimizer step down the team's mean loss; return what it is logged by, and whether
    any process is to `stop`. InputError where the loss is not finite.
    """
    rate = cosine_rate(
        step,
        steps=training.steps,
        peak=training.learning_rate,
        warmup_steps=training.warmup_steps,
    )
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    mean, stop = team.mean_gradients(state.module.parameters(), loss=loss.item(), stop=stop)
    norm = nn.utils.clip_grad_norm_(state.module.parameters(), training.grad_clip)
    values = {"loss": mean, "grad_norm": norm.item(), "learning_rate": rate}
    if not math.isfinite(values["loss"] + values["grad_norm"]):
        raise InputError(
            f"got loss {values['loss']} with gradient norm {values['grad_norm']} at step {step}, "
            "expected finite numbers: "
            "check the batch for NaN, lower learning_rate, or set precision to fp32"
        )
    state.optimizer.step()
    update_average(state.average, state.module, decay=decay_at(step, training.ema_decay))
    return values, stop


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


def closed(stream: Iterator[Any]) -> AbstractContextManager[Any]:
    """Close a stream at the end, where it can be: its threads would outlive an exception."""
    return closing(stream) if isinstance(stream, Generator) else nullcontext()


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
