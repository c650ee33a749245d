"""A robot from its section of a config: the driver behind the safety layer, its cameras, and what
only a simulator can do. A new arm is one entry of ROBOTS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robot.envs.make import EnvOptions
from robot.errors import InputError
from robot.hardware.arm import Arm
from robot.hardware.camera import CameraStream
from robot.hardware.limits import SafetyLimits
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm
from robot.hardware.simulator import Simulation
from robot.system.parse import NotNegativeNumber, Positive, Seed, options, parse


@options
class RobotOptions:
    """configs/robot/*.yaml."""

    kind: str
    driver: Mapping[str, Any]
    cameras: Mapping[str, Any] | None
    safety: SafetyLimits

    def __post_init__(self) -> None:
        if self.kind not in ROBOTS:
            raise InputError(
                f"got robot.kind={self.kind}, expected one of {', '.join(ROBOTS)}; choose one of "
                "these"
            )


@options
class World:
    """What a simulated robot stands in; a real one has the real one."""

    task: str
    scene: str
    seed: Seed
    env: EnvOptions


@options
class SimulatedDriver:
    """Section `driver` of configs/robot/simulated.yaml."""

    frame_rate_hz: Positive
    state_delay_s: NotNegativeNumber
    frame_delay_s: NotNegativeNumber


@dataclass(frozen=True)
class Robot:
    """An arm that is not connected yet, and its cameras. `arrange` puts the world of an episode in
    order and returns its goal; `succeeded` tells whether it is reached. None on a real robot.
    """

    arm: SafeArm
    cameras: Sequence[CameraStream]
    arrange: Callable[[int], str] | None = None
    succeeded: Callable[[], bool] | None = None

    def connect(self) -> None:
        """Reach arm and cameras; nothing moves."""
        self.arm.connect()
        for camera in self.cameras:
            camera.connect()

    def disconnect(self) -> None:
        for camera in self.cameras:
            camera.disconnect()
        self.arm.disconnect()


def make_robot(robot: RobotOptions, *, world: World) -> Robot:
    """Return a robot; imports its vendor's library, and InputError says which extra has it."""
    return ROBOTS[robot.kind](robot, world)


def safe(arm: Arm, robot: RobotOptions) -> SafeArm:
    return SafeArm(arm, robot.safety)


def _simulated(robot: RobotOptions, world: World) -> Robot:
    driver = parse(SimulatedDriver, robot.driver, at="robot.driver")
    arm = SimulatedArm(
        Simulation(
            task=world.task,
            scene=world.scene,
            seed=world.seed,
            goal=world.env.goal,
            env=world.env,
            **vars(driver),
        )
    )
    return Robot(
        arm=safe(arm, robot),
        cameras=arm.cameras,
        arrange=lambda episode: arm.reset(seed=world.seed, episode=episode),
        succeeded=lambda: arm.progress().success,
    )


ROBOTS: dict[str, Callable[[RobotOptions, World], Robot]] = {"simulated": _simulated}
