"""Which action is due at a control step, from chunks that arrive late.

A chunk starts at the control step of its observation: by the time that it is there, its first
actions are past and are dropped. Where chunks overlap, `Seams` says how one hands over to the next.
Pure bookkeeping: no clock, no thread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from robot.deploy.options import SEAMS
from robot.errors import InputError
from robot.policy.chunking import Chunk, predictions_for, temporal_ensemble
from robot.policy.inpainting import Prefix, soft_weights

HISTORY = 200  # executed actions that are kept: a prefix may begin in the past


@dataclass(frozen=True)
class Due:
    """The action of one control step."""

    action: Float32[np.ndarray, " a"]
    chunk: int  # number of the newest chunk that it comes from
    offset: int  # of the action in that chunk


class Schedule:
    """Chunks by control step."""

    def __init__(
        self,
        *,
        seams: str = "rtc",
        ensemble_decay: float = 0.1,
        blend_steps: int = 2,
        guided: bool = False,
    ) -> None:
        """`blend_steps` are those in which a new chunk takes over: of `blend` after it arrives, of
        `rtc` after what is decided when it is planned.
        """
        if seams not in SEAMS:
            raise InputError(f"got seams={seams!r}, expected one of {', '.join(SEAMS)}")
        self.seams, self.ensemble_decay, self.blend_steps = seams, ensemble_decay, blend_steps
        self.guided = guided  # see robot.policy.inpainting.Prefix
        self._executed: deque[tuple[int, np.ndarray]] = deque(maxlen=HISTORY)
        self.clear()
        self.number = -1  # of the newest chunk

    def clear(self) -> None:
        """Forget all chunks: the next action needs a new one."""
        self._chunks: list[Chunk] = []
        self._added_at = 0

    def add(self, actions: Float32[np.ndarray, "t a"], *, start: int, now: int) -> int:
        """Take a chunk whose first action belongs to step `start`; `now` is the next step to
        execute. Return how many of its actions are late and dropped.
        """
        late = min(max(0, now - start), len(actions))
        if late == len(actions):
            return late
        keep = 0 if self.seams in ("switch", "rtc") else 1 if self.seams == "blend" else None
        older = [chunk for chunk in self._chunks if chunk[0] + len(chunk[1]) > now]
        older = older if keep is None else older[len(older) - keep :]
        self._chunks = [*older, (start, np.asarray(actions, np.float32))]
        self._added_at = now
        self.number += 1
        return late

    def due(self, step: int) -> Due | None:
        """Return the action of a step; None where no chunk covers it."""
        predictions = predictions_for(step, self._chunks)
        if not len(predictions):
            return None
        return Due(
            action=self._merged(predictions, step),
            chunk=self.number,
            offset=step - self._chunks[-1][0],
        )

    def left(self, step: int) -> int:
        """Return how many actions of the newest chunk are still to come, this step's included."""
        if not self._chunks:
            return 0
        start, actions = self._chunks[-1]
        return max(0, start + len(actions) - step)

    def executed(self, step: int, action: Float32[np.ndarray, " a"]) -> None:
        """Take note of what was really done."""
        self._executed.append((step, np.asarray(action, np.float32)))

    def prefix(self, *, start: int, now: int, delay_steps: int) -> Prefix | None:
        """Return what a chunk that starts at `start` has to begin with: what was executed since,
        and what will be until it arrives, `delay_steps` after its start. None where nothing is
        planned.
        """
        past = dict(self._executed)
        known: list[np.ndarray] = []
        for step in range(start, now + self.left(now)):
            action = past.get(step) if step < now else None
            if action is None:
                planned = self.due(step)
                if planned is None:
                    break
                action = planned.action
            known.append(action)
        if not known:
            return None
        decided = min(len(known), max(delay_steps, now - start))
        known = known[: decided + self.blend_steps]  # beyond, the policy is free to react
        weight = soft_weights(decided=decided, known=len(known))
        return Prefix(actions=np.stack(known), weight=weight, guided=self.guided)

    def _merged(self, predictions: np.ndarray, step: int) -> np.ndarray:
        if self.seams == "ensemble":
            return temporal_ensemble(predictions, decay=self.ensemble_decay)
        if self.seams == "blend" and len(predictions) == 2:
            share = min(1.0, (step - self._added_at + 1) / (self.blend_steps + 1))
            return (share * predictions[1] + (1 - share) * predictions[0]).astype(np.float32)
        return predictions[-1]


class DelayEstimate:
    """How many control steps pass between an observation and its chunk: a quantile of the last
    ones. The first after a start are not counted: they load and compile.
    """

    def __init__(
        self, *, dt_s: float, quantile: float = 0.9, kept: int = 20, warm_up: int = 2
    ) -> None:
        self.dt_s, self.quantile, self.warm_up = dt_s, quantile, warm_up
        self._latencies: deque[float] = deque(maxlen=kept)
        self._seen = 0

    def add(self, latency_s: float) -> None:
        self._seen += 1
        if self._seen > self.warm_up:
            self._latencies.append(latency_s)

    @property
    def steps(self) -> int:
        """Return the estimate; 1 where nothing is known yet."""
        if not self._latencies:
            return 1
        latency = float(np.quantile(np.array(self._latencies), self.quantile))
        return max(1, math.ceil(latency / self.dt_s))


def jerk(actions: Float32[np.ndarray, "t a"], *, dt_s: float) -> Float32[np.ndarray, " u"]:
    """Return the size of the third derivative of the position whose changes per step are
    `actions`, u = t - 2 values.
    """
    return np.linalg.norm(np.diff(actions, n=2, axis=0), axis=-1).astype(np.float32) / dt_s**3


def seam_steps(chunks: Sequence[int]) -> set[int]:
    """Return the steps at which another chunk took over."""
    return {
        step
        for step, (before, after) in enumerate(zip(chunks, chunks[1:], strict=False), start=1)
        if before != after
    }
