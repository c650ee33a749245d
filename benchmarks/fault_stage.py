"""What faults are injected into: a policy that sweeps, behind a server or not, cameras that can
fail, a proxy that breaks a conversation, and a loop in a process of its own that is killed.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robot.agent import Plan
from robot.deploy.exchange import Keys
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.recorder import Recorder
from robot.deploy.rig import Rig
from robot.deploy.server import PolicyServer, ServerOptions
from robot.envs.make import EnvOptions
from robot.hardware.camera import CameraError, CameraStream, Shot
from robot.hardware.limits import SafetyLimits, read_limits
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm
from robot.hardware.simulator import Simulation
from robot.policy.inpainting import Prefix
from robot.spaces import Spaces
from robot.types import ActionChunk, Mask, MaskStatus, Observation

ROOT = Path(__file__).resolve().parents[1]
LIMITS = ROOT / "configs/robot/simulated.yaml"
HORIZON = 16
SWEEP_S, SWEEP_M = 1.6, 0.03  # period, and lead per control step: 0.2 m/s
KEYS = Keys(images={}, state="observation/state", prompt="prompt")


def limits() -> SafetyLimits:
    return read_limits(LIMITS)


class Sweep:
    """A policy that goes to and fro along y, by the time of the observation; `fault` breaks it."""

    device = torch.device("cpu")

    def __init__(self, spaces: Spaces) -> None:
        self.spaces = spaces
        self.fault: Callable[[np.ndarray], np.ndarray] | None = None
        self.last_s = 0.0  # time of the newest observation that was answered
        self.broke_s: float | None = None  # when it first answered with the fault

    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan:
        times = observation.time_s + self.spaces.control_dt_s * np.arange(HORIZON)
        actions = np.zeros((HORIZON, 7), np.float32)
        actions[:, 1] = SWEEP_M * np.sin(2 * math.pi * times / SWEEP_S)
        actions[:, 6] = 1.0
        if self.fault is not None:
            self.broke_s = self.broke_s or time.monotonic()
            actions = self.fault(actions)
        self.last_s = observation.time_s
        count = len(observation.frames)
        mask = Mask(
            probability=tuple(
                np.zeros((3, *frame.image.shape[:2]), np.float32) for frame in observation.frames
            ),
            presence=np.ones((count, 2), np.float32),
            predicted_iou=np.ones(count, np.float32),
            status=(MaskStatus.FOUND,) * count,
        )
        return Plan(
            chunk=ActionChunk(actions, self.spaces.control_dt_s, observation.time_s),
            mask=mask,
            composites=torch.zeros(count, 6, 0, 0),
            mask_ms=0.0,
            policy_ms=0.0,
        )

    def fork(self) -> Sweep:
        return self

    def reset(self) -> None:
        """Remember nothing."""


class FaultyCamera:
    """A camera that freezes, goes black or is unplugged."""

    def __init__(self, stream: CameraStream) -> None:
        self._stream, self.camera = stream, stream.camera
        self.kind = ""  # freeze, black, unplugged
        self.delay_s = 0.0
        self._frozen: Shot | None = None

    def connect(self) -> None:
        self._stream.connect()

    def newest(self) -> Shot:
        shot = self._stream.newest()
        self._frozen = (self._frozen or shot) if self.kind == "freeze" else None
        if self.kind == "unplugged":
            raise CameraError(f"the camera {self.camera.name} is gone; plug it in again")
        if self.kind == "black":
            return Shot(np.zeros_like(shot.image), shot.time_s, shot.index)
        return self._frozen or shot

    def disconnect(self) -> None:
        self._stream.disconnect()


def simulation(*, trace: Path | None = None) -> Simulation:
    return Simulation(env=EnvOptions(backend="mujoco"), trace=trace)


def serve_sweep(pipe: Any, spaces: Spaces) -> None:
    """Serve a sweep until the process is killed; send the port first."""
    server = PolicyServer(Sweep(spaces), keys=KEYS, options=ServerOptions(port=0))  # type: ignore[arg-type]
    asyncio.run(server.run(pipe.send))


class Proxy:
    """Passes bytes between a client and a port; `kind` breaks the conversation: "half_open" passes
    nothing more and closes nothing, "truncated" cuts every answer in half and closes.
    """

    def __init__(self, port: int) -> None:
        self._upstream, self.kind = port, ""
        self.broke_s: float | None = None  # when it first cut an answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pass, args=(source, sink, answers), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                while self.kind == "half_open":
                    time.sleep(0.01)
                if self.kind == "truncated" and answers:
                    self.broke_s = self.broke_s or time.monotonic()
                    sink.sendall(data[: len(data) // 2])
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # close alone waits for who reads from it
            end.close()


@dataclass(frozen=True)
class KilledLoop:
    """What a loop that is to be killed works on; it crosses into its process."""

    folder: Path
    trace: Path


def run_until_killed(pipe: Any, asked: KilledLoop) -> None:
    """Record one short episode, then another until this process is killed."""
    arm = SimulatedArm(simulation(trace=asked.trace))
    arm.connect()
    safe = SafeArm(arm, limits())
    rig = Rig(safe, arm.cameras)
    planner = AsyncPlanner(Sweep(rig.spaces))
    planner.start()
    recorder = Recorder(asked.folder, videos=False)
    loop = Loop(rig, planner, options=LoopOptions(), goal="sweep", recorder=recorder)
    for index in range(2):
        header = Header(index, "sweep", "sweep", "clean", 0, rig.spaces)
        if index == 1:
            pipe.send("moving")
        loop.run_episode(limit_s=0.5 if index == 0 else 60.0, header=header)
