"""What the loop tells other threads: events, and the status of one control step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from robot.deploy.rig import Look


@dataclass(frozen=True)
class Event:
    """Something that a person should know."""

    time_s: float
    kind: str
    text: str


@dataclass(frozen=True)
class Status:
    """What a viewer shows of one control step."""

    goal: str
    step: int
    mode: str  # policy, person, hold, e-stop
    why: str  # of a hold
    mask_status: str
    mask_age_s: float | None
    period_ms: float
    latency_ms: float | None  # from a look to its plan
    delay_steps: int
    interventions: Mapping[str, int]
    action: np.ndarray
    look: Look | None = field(repr=False, default=None)
    labels: Mapping[str, np.ndarray] | None = field(repr=False, default=None)
