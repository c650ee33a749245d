"""From chunks of actions to one action per control step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from robot.types import InputError

Chunk = tuple[int, np.ndarray]  # (control step of its first action, actions (T, A))


def temporal_ensemble(
    predictions: Float32[np.ndarray, "n a"], *, decay: float
) -> Float32[np.ndarray, " a"]:
    """Average predictions for one step, oldest first, with weights exp(-decay * i) (ACT, Zhao et
    al. 2023).
    """
    weights = np.exp(-decay * np.arange(len(predictions), dtype=np.float32))
    return (weights @ predictions / weights.sum()).astype(np.float32)


def predictions_for(step: int, chunks: Sequence[Chunk]) -> Float32[np.ndarray, "n a"]:
    """Return what each chunk that covers `step` says about it, in the order of the chunks."""
    predictions = [
        actions[step - start] for start, actions in chunks if 0 <= step - start < len(actions)
    ]
    width = chunks[0][1].shape[1] if chunks else 0
    return np.array(predictions, dtype=np.float32).reshape(len(predictions), width)


class ChunkExecutor:
    """Execute `execute` actions of each chunk, then ask for the next one.

    With `ensemble_decay`, overlapping chunks are averaged; `execute=1` then is ACT's ensembling at
    every step. Ask `needs_chunk` before each step: only then does the policy (and the mask head
    before it) have to run.
    """

    def __init__(self, *, execute: int = 8, ensemble_decay: float | None = None):
        if execute < 1:
            raise InputError(f"got execute {execute}, expected at least 1 action per chunk")
        self.execute, self.ensemble_decay = execute, ensemble_decay
        self.reset()

    def reset(self) -> None:
        """Forget all chunks: a new episode starts."""
        self._step = 0
        self._chunks: list[Chunk] = []

    @property
    def step(self) -> int:
        """The control step that `next_action` will answer for."""
        return self._step

    @property
    def needs_chunk(self) -> bool:
        """True when the newest chunk has been executed for its share, or has run out."""
        return not self._chunks or self._step - self._chunks[-1][0] >= min(
            self.execute, len(self._chunks[-1][1])
        )

    def add(self, actions: Float32[np.ndarray, "t a"], *, observed_at: int | None = None) -> None:
        """Take a new chunk whose first action belongs to step `observed_at` (now, unless planning
        took some steps).
        """
        start = self._step if observed_at is None else observed_at
        if start > self._step or start + len(actions) <= self._step:
            raise InputError(
                f"got a chunk for steps {start} to {start + len(actions) - 1} at step "
                f"{self._step}, expected one that covers "
                "that step: plan faster or predict more actions"
            )
        kept = self._chunks if self.ensemble_decay is not None else []
        self._chunks = [c for c in kept if c[0] + len(c[1]) > self._step] + [
            (start, np.asarray(actions, dtype=np.float32))
        ]

    def next_action(self) -> Float32[np.ndarray, " a"]:
        """Return the action of this control step and move on to the next."""
        predictions = predictions_for(self._step, self._chunks)
        if not len(predictions):
            raise InputError(
                f"got no chunk for step {self._step}, expected one: call add() whenever "
                "needs_chunk is true"
            )
        self._step += 1
        return (
            predictions[-1]
            if self.ensemble_decay is None
            else temporal_ensemble(predictions, decay=self.ensemble_decay)
        )
