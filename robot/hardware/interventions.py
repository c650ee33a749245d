"""What the safety layer did to commands, counted and kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from robot.hardware.arm import Command
from robot.hardware.path import Cause

KEPT = 1000  # interventions that are kept in full; all are counted


class Kind(str, Enum):
    """What the layer did, or why. Those of `Cause` change a command, the others hold the arm."""

    EARLY = Cause.EARLY.value
    LATE = Cause.LATE.value
    BOX = Cause.BOX.value
    SPEED = Cause.SPEED.value
    SMOOTH = Cause.SMOOTH.value
    SOFT_START = Cause.SOFT_START.value
    RECOVERY = Cause.RECOVERY.value
    JOINT_POSITION = Cause.JOINT_POSITION.value
    JOINT_VELOCITY = Cause.JOINT_VELOCITY.value
    REACH = Cause.REACH.value
    GRIPPER = Cause.GRIPPER.value
    LEAD = "lead"  # too far ahead of the measured pose
    NOT_FINITE = "not_finite"
    WRONG_SHAPE = "wrong_shape"
    NOT_A_ROTATION = "not_a_rotation"
    STALE_FRAME = "stale_frame"
    BAD_FRAME = "bad_frame"  # black, frozen or disconnected, by the camera's own word
    STALE_STATE = "stale_state"
    STALE_MASK = "stale_mask"
    STALE_COMMAND = "stale_command"
    BAD_STATE = "bad_state"  # not finite, or joints and pose that contradict each other
    NO_TARGET = "no_target"  # mask status absent or uncertain
    HOLD = "hold"  # asked for by the loop
    WATCHDOG = "watchdog"
    ESTOP = "estop"


HOLDING = frozenset(
    (Kind.NOT_FINITE, Kind.WRONG_SHAPE, Kind.NOT_A_ROTATION, Kind.STALE_FRAME, Kind.STALE_STATE)
    + (Kind.STALE_MASK, Kind.STALE_COMMAND, Kind.BAD_STATE, Kind.BAD_FRAME, Kind.NO_TARGET)
    + (Kind.ESTOP,)
)  # what SafeArm held the arm for, instead of changing a command


@dataclass(frozen=True)
class Intervention:
    """One difference between what was asked and what was sent."""

    kind: Kind
    time_s: float
    asked: Command | None  # None where nothing was asked
    sent: Command | None  # None where nothing was sent
    detail: str = ""


class Ledger:
    """Every intervention counted, the newest KEPT whole."""

    def __init__(self) -> None:
        self._counts: Counter[Kind] = Counter()
        self._recent: deque[Intervention] = deque(maxlen=KEPT)

    def add(self, intervention: Intervention) -> None:
        self._counts[intervention.kind] += 1
        self._recent.append(intervention)

    @property
    def counts(self) -> Mapping[Kind, int]:
        """Return how often each kind happened."""
        return dict(self._counts)

    @property
    def holds(self) -> int:
        """Return how often the arm was held, instead of a command being changed."""
        return sum(self._counts[kind] for kind in HOLDING)

    @property
    def recent(self) -> tuple[Intervention, ...]:
        """Return the newest interventions, oldest first."""
        return tuple(self._recent)
