"""Arms without hardware for tests: they are where their last command put them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from robot.end_effector import end_effector_action, end_effector_state
from robot.hardware.arm import ArmFeatures, ArmState, Command, JointLimits
from robot.hardware.kinematics import Pose, solve
from robot.hardware.limits import SafetyLimits, read_limits

FRANKA_YAML = Path(__file__).parents[2] / "configs" / "robot" / "franka.yaml"
DT_S = 0.05

# Craig's Denavit-Hartenberg parameters (a, d, alpha) of the Franka Panda, flange and hand last.
PANDA = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -math.pi / 2),
    (0.0, 0.316, math.pi / 2),
    (0.0825, 0.0, math.pi / 2),
    (-0.0825, 0.384, -math.pi / 2),
    (0.0, 0.0, math.pi / 2),
    (0.088, 0.0, math.pi / 2),
)
PANDA_HOME = np.array([0.0, -0.3, 0.0, -2.2, 0.0, 2.0, math.pi / 4])
PANDA_JOINTS = JointLimits(
    low=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    high=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    velocity=np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61]),
)


def panda_forward(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pose of the Panda's hand."""
    position, rotation = np.zeros(3), np.eye(3)
    for (a, d, alpha), q in zip(PANDA, joints.tolist(), strict=True):
        cos, sin, ca, sa = math.cos(q), math.sin(q), math.cos(alpha), math.sin(alpha)
        position = position + rotation @ (a, -d * sa, d * ca)
        rotation = rotation @ np.array(
            [[cos, -sin, 0.0], [sin * ca, cos * ca, -sa], [sin * sa, cos * sa, ca]]
        )
    return position + rotation @ (0.0, 0.0, 0.2104), rotation


# A gantry: three slides [m] and a wrist about z, y, x. Its joints' ranges cut the workspace.
GANTRY_JOINTS = JointLimits(
    low=np.array([0.3, -0.3, 0.05, -2.0, -1.0, -2.0]),
    high=np.array([0.7, 0.3, 0.5, 2.0, 1.0, 2.0]),
    velocity=np.array([0.4, 0.4, 0.4, 1.5, 1.5, 1.5]),
)
GANTRY_HOME = np.array([0.5, 0.0, 0.25, 0.0, 0.0, 0.0])


def gantry_forward(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pose of the gantry's hand."""
    x, y, z, yaw, pitch, roll = joints.tolist()
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    rotation = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    return np.array([x, y, z]), rotation


KINEMATICS = {
    "panda": (panda_forward, PANDA_JOINTS, PANDA_HOME),
    "gantry": (gantry_forward, GANTRY_JOINTS, GANTRY_HOME),
}


def features(kind: str = "panda") -> ArmFeatures:
    joints = KINEMATICS[kind][1]
    return ArmFeatures(
        robot_type=kind,
        joint_names=tuple(f"joint_{k}" for k in range(len(joints.low))),
        joints=joints,
        state=end_effector_state(),
        action=end_effector_action(max_delta_m=0.05, max_delta_rad=0.5),
        control_dt_s=DT_S,
    )


def limits(**changes: object) -> SafetyLimits:
    """Return the Franka's limits with changes."""
    return replace(read_limits(FRANKA_YAML), **changes)


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s

    def pass_(self, seconds: float = DT_S) -> None:
        self.now_s += seconds


@dataclass
class PerfectArm:
    """Is at once where it was sent, by inverse kinematics; counts what it was asked for."""

    clock: Clock
    kind: str = "panda"
    sent: list[Command] = field(default_factory=list)
    stops: int = 0
    connected: bool = False
    blocked: bool = False

    def __post_init__(self) -> None:
        self.features = features(self.kind)
        self.joints = KINEMATICS[self.kind][2].copy()
        self.gripper = 1.0

    def connect(self) -> None:
        self.connected = True

    def read(self) -> ArmState:
        position, rotation = self.forward(self.joints)
        return ArmState(
            time_s=self.clock(),
            joint_position=self.joints.copy(),
            joint_velocity=np.zeros_like(self.joints),
            ee_position=position,
            ee_rotation=rotation,
            gripper_opening=self.gripper,
        )

    def send(self, command: Command) -> Command:
        self.sent.append(command)
        if not self.blocked:
            self.joints, _ = solve(
                self.forward,
                Pose(position=command.ee_position, rotation=command.ee_rotation),
                start=self.joints,
                low=self.features.joints.low,
                high=self.features.joints.high,
                tolerance=1e-6,
            )
            self.gripper = command.gripper_target
        return command

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return KINEMATICS[self.kind][0](joints)

    def stop(self) -> None:
        self.stops += 1

    def recover(self) -> None:
        pass

    def disconnect(self) -> None:
        self.connected = False
