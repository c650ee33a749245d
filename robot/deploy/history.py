"""What an episode was, control step by control step, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robot.deploy.schedule import Due


@dataclass(frozen=True)
class Outcome:
    """One episode."""

    success: bool | None  # None where nobody said
    steps: int
    ended: str
    held_steps: int  # after the first action: the arm waited
    pauses: int  # stretches of them
    late_actions: int
    plans: int
    corrected_steps: int
    latency_ms: tuple[float, ...]
    actions: np.ndarray = field(repr=False)  # (T, A) as sent
    chunks: tuple[int, ...] = field(repr=False)  # of every step, -1 where none
    due: np.ndarray = field(repr=False)  # (T, A) that the chunks asked for, as sent where none did
    held: tuple[bool, ...] = field(repr=False)
    times_s: tuple[float, ...] = field(repr=False)


class History:
    """One episode so far; `first` is the step of its first action."""

    def __init__(self, *, dt_s: float) -> None:
        self.first: int | None = None
        self.late = self.plans = self.corrected = 0
        self.latencies_s: list[float] = []
        self.period_s = dt_s  # between the newest two steps
        self._actions: list[np.ndarray] = []
        self._due: list[np.ndarray] = []
        self._chunks: list[int] = []
        self._held: list[bool] = []
        self._times_s: list[float] = []

    def __len__(self) -> int:
        return len(self._actions)

    @property
    def latency_s(self) -> float | None:
        """Return the time from the newest planned look to its plan."""
        return self.latencies_s[-1] if self.latencies_s else None

    def add(self, *, time_s: float, sent: np.ndarray, due: Due | None, held: bool) -> None:
        """Add a control step: what was sent, the action of a chunk that it comes from, whether the
        arm was held.
        """
        if self._times_s:
            self.period_s = time_s - self._times_s[-1]
        self._times_s.append(time_s)
        self._actions.append(sent)
        self._due.append(sent if due is None else due.action)
        self._chunks.append(-1 if due is None else due.chunk)
        self._held.append(held)

    def outcome(self, *, success: bool | None, ended: str) -> Outcome:
        held = self._held[self.first :] if self.first is not None else []
        pauses = sum(now and not before for before, now in zip([False, *held], held, strict=False))
        steps = len(self)
        return Outcome(
            success=success,
            steps=steps,
            ended=ended,
            held_steps=sum(held),
            pauses=pauses,
            late_actions=self.late,
            plans=self.plans,
            corrected_steps=self.corrected,
            latency_ms=tuple(1e3 * latency_s for latency_s in self.latencies_s),
            actions=np.array(self._actions, np.float32).reshape(steps, -1),
            chunks=tuple(self._chunks),
            due=np.array(self._due, np.float32).reshape(steps, -1),
            held=tuple(self._held),
            times_s=tuple(self._times_s),
        )
