"""The data sheet of Franka's arms: joint limits, and where the end effector is at given joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from robot.errors import InputError
from robot.hardware.arm import JointLimits

DATA_SHEET = Path(__file__).with_name("franka.yaml")


@cache
def data_sheet() -> dict[str, Any]:
    """Return franka.yaml."""
    return yaml.safe_load(DATA_SHEET.read_text())


def joint_limits(model: str) -> JointLimits:
    """Return the limits of the model "panda" or "fr3"."""
    models = data_sheet()["models"]
    if model not in models:
        raise InputError(
            f"got Franka model {model!r}, expected one of {', '.join(models)}; it stands on the "
            "plate at the base and in Desk's settings"
        )
    return JointLimits(**{name: np.array(row, float) for name, row in models[model].items()})


@dataclass(frozen=True)
class Mounting:
    """Where a frame sits on the flange: offset [m], and turn about the flange's axis [rad]."""

    position: tuple[float, float, float]
    yaw: float

    def T_frame_to_flange(self) -> Float64[np.ndarray, "4 4"]:
        return transform(self.position, Rotation.from_euler("z", self.yaw).as_matrix())


def grip_mounting() -> Mounting:
    """Return where the end effector of the simulated Panda sits on the flange."""
    grip = data_sheet()["grip"]
    x, y, z = map(float, grip["position"])
    return Mounting(position=(x, y, z), yaw=float(grip["yaw"]))


def T_flange_to_base(joints: Float64[np.ndarray, " j"]) -> Float64[np.ndarray, "4 4"]:
    """Return the flange's pose at joint positions [rad], by the published DH parameters."""
    dh = data_sheet()["kinematics"]
    pose = np.eye(4)
    for a, d, alpha, theta in zip(dh["a"], dh["d"], dh["alpha"], joints, strict=True):
        pose = pose @ _joint(a=a, d=d, alpha=alpha, theta=float(theta))
    return pose @ transform((0.0, 0.0, dh["flange"]), np.eye(3))


def transform(position: Sequence[float] | np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return a position and a rotation matrix as a (4, 4) transform."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def _joint(*, a: float, d: float, alpha: float, theta: float) -> np.ndarray:
    """Return the transform of one joint in Craig's convention."""
    (ca, sa), (ct, st) = (np.cos(alpha), np.sin(alpha)), (np.cos(theta), np.sin(theta))
    return np.array(
        [
            [ct, -st, 0.0, a],
            [st * ca, ct * ca, -sa, -d * sa],
            [st * sa, ct * sa, ca, d * ca],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
