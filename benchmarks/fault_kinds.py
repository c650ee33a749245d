"""The kinds of fault that benchmarks/faults.py injects: how each begins around a stage, and when it
could first be known.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from benchmarks.fault_stage import HORIZON, FaultyCamera, Sweep, serve_sweep
from benchmarks.monitored_arm import MonitoredArm
from robot.deploy.rig import Rig
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm, single_threaded
from robot.spaces import Spaces

AFTER_S = 2.0  # that is watched
START_S = 300.0  # for a process to start on a busy computer


class Servers:
    """One policy server that is used again until it is killed."""

    def __init__(self) -> None:
        self._running: tuple[BaseProcess, int] | None = None

    def take(self, spaces: Spaces) -> tuple[BaseProcess, int]:
        """Return a server that runs, and its port."""
        if self._running is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            server = context.Process(target=serve_sweep, args=(theirs, spaces), daemon=True)
            with single_threaded():
                server.start()
            if not ours.poll(START_S):
                raise RuntimeError("the policy server did not start")
            self._running = server, ours.recv()
        return self._running

    def kill(self, server: BaseProcess) -> None:
        server.kill()
        self._running = None


@dataclass
class Stage:
    """A loop over an arm that is connected once; a fault changes what lies around it."""

    monitor: MonitoredArm
    safe: SafeArm
    cameras: list[FaultyCamera]
    rig: Rig
    sweep: Sweep
    simulated: SimulatedArm
    rng: random.Random
    servers: Servers = field(default_factory=Servers)
    undo: list[Callable[[], None]] = field(default_factory=list)

    def restore(self) -> None:
        """Take all faults back."""
        while self.undo:
            self.undo.pop()()
        self.sweep.fault = self.sweep.broke_s = None
        for camera in self.cameras:
            camera.kind = ""
        link = self.monitor.link
        link.dropped, link.doubled, link.jitter_s, link.bad_state = 0.0, False, 0.0, False
        with suppress(Exception):
            self.simulated.delay(state_s=0.0, frame_s=0.0)

    def ages(self) -> tuple[float, float]:
        """Return the capture times of the newest frame and state."""
        return self.cameras[0].newest().time_s, self.simulated.read().time_s


@dataclass(frozen=True)
class Fault:
    """How a fault begins, and when it can be known: a function of (stage, time of injection,
    outcome). `holds` says whether the arm has to hold.
    """

    begin: Callable[[Stage], None]
    detectable: Callable[[Stage, float], float] | None = None  # None: it has to be survived
    remote: str = ""  # how the policy is reached: through a proxy
    records: bool = False

    @property
    def holds(self) -> bool:
        return self.detectable is not None


def of_cameras(kind: str) -> Callable[[Stage], None]:
    def begin(stage: Stage) -> None:
        for camera in stage.cameras:
            camera.kind = kind

    return begin


def of_link(**values: Any) -> Callable[[Stage], None]:
    def begin(stage: Stage) -> None:
        for name, value in values.items():
            setattr(stage.monitor.link, name, value)

    return begin


def of_delay(state_s: float) -> Callable[[Stage], None]:
    return lambda stage: stage.simulated.delay(state_s=state_s, frame_s=state_s)


def of_policy(fault: Callable[[np.ndarray], np.ndarray]) -> Callable[[Stage], None]:
    return lambda stage: setattr(stage.sweep, "fault", fault)


def crash(actions: np.ndarray) -> np.ndarray:
    raise RuntimeError("the policy crashed")


def hang(actions: np.ndarray) -> np.ndarray:
    time.sleep(AFTER_S + 1.0)
    return actions


def stall(stage: Stage) -> None:
    """Keep the loop's own thread busy: the watchdog's has to act."""
    time.sleep(1.0)


def step_clock(stage: Stage) -> None:
    """Set the wall clock an hour ahead, for this process: nothing may depend on it."""
    real = time.time
    time.time = lambda: real() + 3600.0
    stage.undo.append(lambda: setattr(time, "time", real))


def at_once(stage: Stage, injected_s: float) -> float:
    return injected_s


def frame_is_old(stage: Stage, injected_s: float) -> float:
    return stage.cameras[0].newest().time_s + stage.safe.limits.max_frame_age_s


def state_is_old(stage: Stage, injected_s: float) -> float:
    """A state published later is missing after the last one that came in time."""
    return injected_s + stage.safe.limits.max_state_age_s


def actions_run_out(stage: Stage, injected_s: float) -> float:
    return stage.sweep.last_s + HORIZON * stage.rig.spaces.control_dt_s


def watchdog_is_due(stage: Stage, injected_s: float) -> float:
    periods = stage.safe.limits.watchdog_periods
    return injected_s + periods * stage.rig.spaces.control_dt_s


FAULTS: dict[str, Fault] = {
    "frame_freeze": Fault(of_cameras("freeze"), frame_is_old),
    "black_frame": Fault(of_cameras("black"), at_once),
    "camera_unplugged": Fault(of_cameras("unplugged"), at_once),
    "delay_50_ms": Fault(of_delay(0.05)),
    "delay_200_ms": Fault(of_delay(0.2)),
    "delay_1000_ms": Fault(of_delay(1.0), state_is_old),
    "jitter_0_to_100_ms": Fault(of_link(jitter_s=0.1)),
    "bad_state": Fault(of_link(bad_state=True), at_once),
    "dropped_packets_30_percent": Fault(of_link(dropped=0.3)),
    "duplicated_packets": Fault(of_link(doubled=True)),
    "half_open_socket": Fault(lambda stage: None, actions_run_out, remote="half_open"),
    "truncated_message": Fault(lambda stage: None, at_once, remote="truncated"),
    "server_killed": Fault(lambda stage: None, at_once, remote="killed"),
    "nan_action": Fault(of_policy(lambda a: np.full_like(a, np.nan)), at_once),
    "huge_action": Fault(of_policy(lambda a: 1e6 * np.sign(a + 1e-9))),
    "policy_crash": Fault(of_policy(crash), at_once),
    "policy_hang": Fault(of_policy(hang), actions_run_out),
    "loop_stall": Fault(stall, watchdog_is_due),
    "clock_step": Fault(step_clock),
    "disk_full": Fault(lambda stage: None, at_once, records=True),
    "kill_9": Fault(lambda stage: None, at_once),
}
