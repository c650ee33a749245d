"""franky-sim as a process: a Franka robot on an address of this computer's loopback.

with FrankaSim() as sim:
    arm = FrankaArm(sim.options())
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robot.errors import InputError
from robot.hardware.arm import ArmError
from robot.hardware.franka import FrankaOptions

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-franka/bin/python"  # `make test-franka` makes it
SERVER = Path(__file__).with_name("franka_server.py")
START_S = 120.0
MODEL = "fr3"  # which franky-sim simulates


class FrankaSim:
    """The simulated robot; `kill` and `trip_reflex` are the faults that a test needs."""

    def __init__(self, *, address: str = "127.0.0.1", python: Path = PYTHON) -> None:
        if not python.exists():
            raise InputError(
                f"got no {python}, expected a Python with franky-sim: run `make test-franka`, "
                "which sets it up"
            )
        self.address = address
        self._process = subprocess.Popen(
            [str(python), str(SERVER), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # more threads than one would wait for each other a thousand times a second
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        ready = select.select([self._process.stdout], [], [], START_S)[0]
        if not ready or self._process.stdout.readline().strip() != "ready":
            self._process.kill()
            assert self._process.stderr is not None
            lines = self._process.stderr.read().strip().splitlines() or ["it said nothing"]
            raise ArmError(f"franky-sim did not start at {address}: {lines[-1]}")

    def __enter__(self) -> FrankaSim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def options(self) -> FrankaOptions:
        """Return the options of a driver for this robot."""
        return FrankaOptions(hostname=self.address, model=MODEL, realtime=False)

    def put(self, joints: Sequence[float] | np.ndarray, *, width_m: float) -> None:
        """Put the arm at joint positions, at rest, and the fingers so far apart; for an arm that no
        motion is running on.
        """
        self._tell("joints " + " ".join(f"{value:.6f}" for value in (*joints, width_m)))

    def put_between_fingers(self, width_m: float) -> None:
        """Let the fingers close no further than this; 0 takes the thing away."""
        self._tell(f"fingers {width_m:.5f}")

    def trip_reflex(self) -> None:
        """Stop the robot as if it had run into something."""
        self._tell("reflex")

    def kill(self) -> None:
        """End the robot at once, as a cut cable does."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=5.0)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ArmError("franky-sim has ended; start it again") from error
