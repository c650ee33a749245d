"""A simulated arm and its cameras behind the contracts of real ones, in real time: the whole loop
runs without hardware. The simulator works in a process of its own (robot.hardware.simulator).

    arm = SimulatedArm(Simulation(task="pick"))
    arm.connect()
    arm.cameras[0].newest()
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from robot.hardware.arm import ArmError, ArmFeatures, ArmState, Command
from robot.hardware.camera import CameraError, Shot
from robot.hardware.chain import read_chain
from robot.hardware.simulator import Simulation, Slot, frame_type, serve, state_type
from robot.spaces import Camera
from robot.system.interrupt import end_processes, starting_processes
from robot.types import Viewpoint

CHAINS = Path(__file__).with_name("simulated.yaml")
START_S = 180.0  # for the simulator to be made on a busy computer
RESET_S = 60.0
END_S = 3.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS")  # the last one is Mesa's


@dataclass(frozen=True)
class Progress:
    """What only a simulator knows of an episode."""

    success: bool
    episode: int  # counts resets
    behind_s: float  # time that the simulation has lost against the wall clock


class SimulatedArm:
    """An arm of a simulator; `cameras` look at the same world."""

    def __init__(self, simulation: Simulation | None = None) -> None:
        self.simulation = simulation or Simulation()
        options = self.simulation.env
        spaces = options.spaces()
        self._chain = read_chain(CHAINS, options.robot)
        self.features = ArmFeatures(
            robot_type=spaces.robot_type,
            joint_names=self._chain.names,
            joints=self._chain.limits,
            state=spaces.state,
            action=spaces.action,
            control_dt_s=spaces.control_dt_s,
        )
        context = multiprocessing.get_context("spawn")
        layouts = {"state": state_type(len(self._chain.links))} | {
            camera.name: frame_type(camera) for camera in spaces.cameras
        }
        self._memories = {
            name: context.RawArray(ctypes.c_uint8, Slot.size(layout))
            for name, layout in layouts.items()
        }
        slots = {name: Slot(self._memories[name], layout) for name, layout in layouts.items()}
        self._state = slots["state"]
        self.cameras: Sequence[SimulatedCamera] = tuple(
            SimulatedCamera(camera, slots[camera.name]) for camera in spaces.cameras
        )
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self.goal = ""

    @property
    def pid(self) -> int | None:
        """Return the process of the simulator."""
        return None if self._process is None else self._process.pid

    def connect(self) -> None:
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        joints = len(self.features.joint_names)
        self._process = context.Process(
            target=serve, args=(theirs, self.simulation, self._memories, joints), daemon=True
        )
        with starting_processes(), single_threaded():
            self._process.start()
        theirs.close()
        self._pipe = ours
        kind, self.goal = self._answer(START_S)
        if kind != "ready":
            raise ArmError(f"the simulator did not start: {self.goal}")

    def read(self) -> ArmState:
        record = self._newest()
        return ArmState(
            time_s=float(record["time_s"]),
            joint_position=record["joint_position"].copy(),
            joint_velocity=record["joint_velocity"].copy(),
            ee_position=record["ee_position"].copy(),
            ee_rotation=record["ee_rotation"].copy(),
            gripper_opening=float(record["gripper_opening"]),
        )

    def progress(self) -> Progress:
        """Return what a real arm cannot know."""
        record = self._newest()
        return Progress(
            success=bool(record["success"]),
            episode=int(record["episode"]),
            behind_s=float(record["behind_s"]),
        )

    def send(self, command: Command) -> Command:
        self._tell("command", command.ee_position, command.ee_rotation, command.gripper_target)
        return command

    def forward(
        self, joints: Float64[np.ndarray, " j"]
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        return self._chain.forward(joints)

    def stop(self) -> None:
        if self._pipe is not None:
            self._tell("stop")

    def recover(self) -> None:
        """Do nothing: a simulated controller has no reflexes."""

    def reset(
        self, *, seed: int, scene: str | None = None, episode: int = 0, goal: str | None = None
    ) -> str:
        """Arrange the world anew with the arm at rest, and return the goal of the episode."""
        self._tell(
            "reset",
            {
                "seed": seed,
                "scene": scene or self.simulation.scene,
                "episode": episode,
                "goal": goal or self.simulation.goal,
            },
        )
        kind, self.goal = self._answer(RESET_S)
        assert kind == "reset"
        return self.goal

    def delay(self, *, state_s: float | None = None, frame_s: float | None = None) -> None:
        """Publish states and frames later than they were measured, from now on."""
        delays = {"state": state_s, "frame": frame_s}
        self._tell("set", {key: value for key, value in delays.items() if value is not None})

    def disconnect(self) -> None:
        if self._process is None or self._pipe is None:
            return
        with suppress(ArmError):
            self._tell("quit")
        self._process.join(END_S)
        if self._process.is_alive():
            end_processes([self._process], grace_s=0.0)
        self._pipe.close()
        self._process = self._pipe = None

    def _newest(self) -> np.void:
        if self._process is not None and not self._process.is_alive():
            raise ArmError("the process of the simulator has ended; start again")
        record = None if self._process is None else self._state.read()
        if record is None:
            raise ArmError(
                "got no state of the simulated arm, expected a connected one: connect() first"
            )
        return record

    def _tell(self, kind: str, *values: Any) -> None:
        if self._pipe is None:
            raise ArmError("got a command to an arm that is not connected: call connect() first")
        try:
            with self._lock:
                self._pipe.send((kind, *values))
        except OSError as error:
            raise ArmError(
                "the connection to the simulator broke off: its process has ended; start again"
            ) from error

    def _answer(self, timeout_s: float) -> tuple[str, str]:
        assert self._pipe is not None
        try:
            if not self._pipe.poll(timeout_s):
                raise ArmError(f"the simulator did not answer within {timeout_s:.0f} s")
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ArmError("the process of the simulator has ended; start again") from error


class SimulatedCamera:
    """A camera of the world of a SimulatedArm, which has to be connected first."""

    def __init__(self, camera: Camera, slot: Slot) -> None:
        self.camera, self._slot = camera, slot

    def connect(self) -> None:
        self.newest()

    def newest(self) -> Shot:
        record = self._slot.read()
        if record is None:
            raise CameraError(
                f"got no frame of the simulated camera {self.camera.name}: connect its arm first"
            )
        viewpoint = None
        if record["K"][2, 2]:  # else the world has no table
            pose = record["K"].copy(), record["T_table_camera"].copy()
            viewpoint = Viewpoint(*pose, on_hand=bool(record["on_hand"]))
        return Shot(
            image=record["image"].copy(),
            time_s=float(record["time_s"]),
            index=int(record["index"]),
            viewpoint=viewpoint,
        )

    def disconnect(self) -> None:
        """Do nothing: the arm ends its process."""


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let processes that are started within have one thread for linear algebra: where cores are
    few, a second one for a 7 x 7 matrix is waited for longer than it takes.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
