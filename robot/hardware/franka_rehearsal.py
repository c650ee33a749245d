"""A whole Franka cell without a robot: franky-sim behind the real driver, and a scene of ours that
mirrors it for the cameras.

    with FrankaRehearsal() as cell:
        goal = cell.begin(seed=0)
        cell.arm, cell.cameras
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robot.hardware.arm import ArmError
from robot.hardware.franka import FrankaArm
from robot.hardware.franka_sim import PYTHON, FrankaSim
from robot.hardware.mirror import Mirror, MirrorOptions
from robot.hardware.simulated import SimulatedCamera

STROKE_M = 0.08
AT_START_RAD, START_S = 0.02, 5.0


class FrankaRehearsal:
    """The cell. `arm` is connected by `begin`, and has to be let go of before the next."""

    def __init__(
        self,
        options: MirrorOptions | None = None,
        *,
        address: str = "127.0.0.1",
        python: Path = PYTHON,
    ) -> None:
        self.sim = FrankaSim(address=address, python=python)
        self.arm = FrankaArm(self.sim.options())
        self.mirror = Mirror(options, read=self.arm.read, obstruct=self.sim.put_between_fingers)
        self.cameras: Sequence[SimulatedCamera] = self.mirror.cameras

    def __enter__(self) -> FrankaRehearsal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, *, seed: int, scene: str = "clean", episode: int = 0) -> str:
        """Arrange an episode, put the arm where it begins, connect, and return the goal."""
        self.mirror.pause()
        self.arm.disconnect()
        start = self.mirror.open(seed=seed, scene=scene, episode=episode)
        self.sim.put(start.joints, width_m=STROKE_M * start.opening)
        self.arm.connect()
        deadline = time.monotonic() + START_S
        while np.abs(self.arm.read().joint_position - start.joints).max() > AT_START_RAD:
            if time.monotonic() > deadline:
                raise ArmError("franky-sim did not take the joints in which the episode begins")
            time.sleep(0.01)
        self.mirror.follow()
        return start.goal

    def succeeded(self) -> bool:
        """Return whether the scene says that the task was done."""
        return self.mirror.succeeded()

    def close(self) -> None:
        self.mirror.close()
        self.arm.disconnect()
        self.sim.close()
