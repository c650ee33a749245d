"""A whole Franka cell without a robot: franky-sim behind the real driver, and a scene of ours that
mirrors it for the cameras.

    arm = RehearsedFranka()
    arm.connect()                # an Arm like any other; arm.cameras look at the scene
    goal = arm.reset(seed=0)     # the next episode
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from robot.hardware.arm import ArmError, ArmState, Command
from robot.hardware.franka import FrankaArm, FrankaOptions
from robot.hardware.franka_sim import MODEL, PYTHON, FrankaSim
from robot.hardware.mirror import Mirror, MirrorOptions
from robot.hardware.simulated import SimulatedCamera

STROKE_M = 0.08
AT_START_RAD, START_S = 0.02, 5.0


@dataclass(frozen=True)
class Rehearsal:
    """The scene of the first episode, and where franky-sim listens."""

    mirror: MirrorOptions = field(default_factory=MirrorOptions)
    scene: str = "clean"
    seed: int = 0
    address: str = "127.0.0.1"
    python: Path = PYTHON


class RehearsedFranka:
    """A FrankaArm with the robot and the scene around it; both end with `disconnect`."""

    def __init__(self, rehearsal: Rehearsal | None = None) -> None:
        self.rehearsal = rehearsal = rehearsal or Rehearsal()
        self._kinematics = FrankaArm(FrankaOptions(model=MODEL))  # never connected
        self.features = self._kinematics.features
        self._mirror = Mirror(rehearsal.mirror)
        self.cameras: Sequence[SimulatedCamera] = self._mirror.cameras
        self._arm: FrankaArm | None = None
        self.sim: FrankaSim | None = None
        self.goal = ""

    @property
    def driver(self) -> FrankaArm:
        """Return the driver under rehearsal."""
        if self._arm is None:
            raise ArmError("got a call to a Franka that is not connected: call connect() first")
        return self._arm

    def connect(self) -> None:
        """Start franky-sim and the scene, arrange the first episode, and connect to the robot."""
        if self._arm is not None:
            return
        self.sim = FrankaSim(address=self.rehearsal.address, python=self.rehearsal.python)
        self._arm = FrankaArm(self.sim.options())
        self._mirror.start(read=self._arm.read, obstruct=self.sim.put_between_fingers)
        self.reset(seed=self.rehearsal.seed)

    def reset(self, *, seed: int, scene: str | None = None, episode: int = 0) -> str:
        """Arrange an episode with the arm where it begins, and return its goal.

        The driver connects anew: what it knew of the arm is of the last episode.
        """
        arm, sim = self.driver, self.sim
        assert sim is not None
        self._mirror.pause()
        arm.disconnect()
        start = self._mirror.open(seed=seed, scene=scene or self.rehearsal.scene, episode=episode)
        sim.put(start.joints, width_m=STROKE_M * start.opening)
        arm.connect()
        deadline = time.monotonic() + START_S
        while np.abs(arm.read().joint_position - start.joints).max() > AT_START_RAD:
            if time.monotonic() > deadline:
                raise ArmError("franky-sim did not take the joints in which the episode begins")
            time.sleep(0.01)
        self._mirror.follow()
        self.goal = start.goal
        return start.goal

    def succeeded(self) -> bool:
        """Return whether the scene says that the task was done."""
        return self._mirror.succeeded()

    @property
    def behind_s(self) -> float:
        """Return the time that the scene has lost against the clock in this episode."""
        return self._mirror.behind_s

    # --- an Arm: the driver's

    def read(self) -> ArmState:
        return self.driver.read()

    def send(self, command: Command) -> Command:
        return self.driver.send(command)

    def forward(
        self, joints: Float64[np.ndarray, " j"]
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        return self._kinematics.forward(joints)

    def stop(self) -> None:
        if self._arm is not None:
            self._arm.stop()

    def recover(self) -> None:
        self.driver.recover()

    def disconnect(self) -> None:
        self._mirror.close()
        if self._arm is not None:
            self._arm.disconnect()
        if self.sim is not None:
            self.sim.close()
        self._arm = self.sim = None
