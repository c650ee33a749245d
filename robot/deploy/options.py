"""The sections `loop` and `robot` of a config, parsed without torch, a driver or a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from robot.envs.make import EnvOptions
from robot.errors import InputError, one_of
from robot.hardware.limits import SafetyLimits
from robot.system.parse import Count, NotNegative, NotNegativeNumber, Positive, Seed, options

Seams = Literal["switch", "ensemble", "blend", "rtc"]
SEAMS: tuple[str, ...] = get_args(Seams)
KINDS = ("simulated", "franka", "franka_sim", "so101")  # of robots: robot.deploy.robots
SIMULATED = ("simulated", "franka_sim")  # with a world that is arranged, and judges success


@options
class LoopOptions:
    """Section `loop` of configs/deploy.yaml."""

    execution: Literal["async", "sync"] = "async"
    seams: Seams = "rtc"
    guided: bool = False  # rtc by gradients, which makes plans slower
    replan_steps: Count = 4  # control steps from one observation that is planned for to the next
    execute_steps: Count = 8  # of a chunk, where execution is sync
    ensemble_decay: NotNegativeNumber = 0.1
    blend_steps: NotNegative = 2
    delay_quantile: Positive = 0.9
    plan_timeout_s: Positive = 5.0  # a plan that takes longer ends the episode
    fault_timeout_s: Positive = 3.0  # no arm or camera for longer ends the episode
    needs_recording: bool = True  # a recording that fails ends the episode
    hand_over_s: NotNegativeNumber = 0.3  # from one hand to the other
    plan_delay_s: NotNegativeNumber = 0.0  # of the planner: to try a slower computer


@options
class RobotOptions:
    """configs/robot/*.yaml."""

    kind: str
    driver: Mapping[str, Any]
    cameras: Mapping[str, Any] | None
    table_m: float | None  # the height of the table's top in the base frame, where it is known
    safety: SafetyLimits

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"got robot.kind={self.kind}, {one_of(self.kind, KINDS)}")


@options
class World:
    """What a simulated robot stands in; a real one has the real one."""

    task: str
    scene: str
    seed: Seed
    env: EnvOptions
