"""A robot from its section of a config: the driver behind the safety layer, its cameras, and what
only a simulator can do. A new arm is one entry of ROBOTS and a name in KINDS
(robot.deploy.options).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from robot.deploy.options import RobotOptions, World
from robot.hardware.arm import Arm
from robot.hardware.camera import CameraStream
from robot.hardware.cameras.options import cameras_of
from robot.hardware.cameras.stream import streams_of
from robot.hardware.franka import FrankaArm, FrankaOptions
from robot.hardware.franka_hand import HandMotion
from robot.hardware.franka_kinematics import Mounting
from robot.hardware.franka_rehearsal import Rehearsal, RehearsedFranka
from robot.hardware.mirror import MirrorOptions
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm
from robot.hardware.simulator import Simulation
from robot.hardware.so101 import SO101
from robot.system.parse import NotNegativeNumber, Positive, options, parse

CAMERA = Path(__file__).resolve().parents[2] / "configs/camera/default.yaml"


@options
class SimulatedDriver:
    """Section `driver` of configs/robot/simulated.yaml."""

    frame_rate_hz: Positive
    state_delay_s: NotNegativeNumber
    frame_delay_s: NotNegativeNumber


@options
class FrankaDriver:
    """Section `driver` of configs/robot/franka.yaml."""

    hostname: str
    model: str
    realtime: bool
    grip_position_m: tuple[float, float, float]
    grip_yaw_rad: float
    stiffness_n_m: Positive
    stiffness_nm_rad: Positive
    response: Positive
    push_n: Positive
    push_nm: Positive
    reflex_n: Positive
    reflex_nm: Positive
    hand_speed_m_s: Positive
    hand_force_n: Positive

    def options(self) -> FrankaOptions:
        values = dict(vars(self))
        hand = HandMotion(
            speed_m_s=values.pop("hand_speed_m_s"), force_n=values.pop("hand_force_n")
        )
        grip = Mounting(position=values.pop("grip_position_m"), yaw=values.pop("grip_yaw_rad"))
        return FrankaOptions(**values, end_effector=grip, hand=hand)


@options
class FrankaSimDriver:
    """Section `driver` of configs/robot/franka_sim.yaml."""

    address: str
    frame_rate_hz: Positive


@options
class SO101Driver:
    """Section `driver` of configs/robot/so101.yaml."""

    port: str
    calibration: Path


@dataclass(frozen=True)
class Robot:
    """An arm that is not connected yet, and its cameras. `arrange` puts the world of an episode in
    order and returns its goal; `succeeded` tells whether it is reached. None on a real robot.
    `table_m` is the height of the table's top in the base frame, None where that is not known.
    """

    arm: SafeArm
    cameras: Sequence[CameraStream]
    table_m: float | None = None
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


def cameras(robot: RobotOptions) -> Sequence[CameraStream]:
    """Return the cameras of a real robot's section; what one leaves out is as in CAMERA."""
    default = yaml.safe_load(CAMERA.read_text(encoding="utf-8"))
    return streams_of(cameras_of(robot.cameras or {}, default=default))


def _franka(robot: RobotOptions, world: World) -> Robot:
    driver = parse(FrankaDriver, robot.driver, at="robot.driver")
    arm = safe(FrankaArm(driver.options()), robot)
    return Robot(arm=arm, cameras=cameras(robot), table_m=robot.table_m)


def _franka_sim(robot: RobotOptions, world: World) -> Robot:
    driver = parse(FrankaSimDriver, robot.driver, at="robot.driver")
    mirror = MirrorOptions(task=world.task, env=world.env, frame_rate_hz=driver.frame_rate_hz)
    arm = RehearsedFranka(
        Rehearsal(mirror=mirror, scene=world.scene, seed=world.seed, address=driver.address)
    )
    return Robot(
        arm=safe(arm, robot),
        cameras=arm.cameras,
        arrange=lambda episode: arm.reset(seed=world.seed, episode=episode),
        succeeded=arm.succeeded,
    )


def _so101(robot: RobotOptions, world: World) -> Robot:
    driver = parse(SO101Driver, robot.driver, at="robot.driver")
    arm = SO101(port=driver.port, calibration=driver.calibration.expanduser())
    return Robot(arm=safe(arm, robot), cameras=cameras(robot), table_m=robot.table_m)


ROBOTS: dict[str, Callable[[RobotOptions, World], Robot]] = {
    "simulated": _simulated,
    "franka": _franka,
    "franka_sim": _franka_sim,
    "so101": _so101,
}
