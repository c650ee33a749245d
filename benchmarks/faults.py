"""Inject every kind of fault while an arm moves: how soon it holds, and whether a limit is broken.

    python benchmarks/faults.py [--trials 20] [--kinds frame_freeze,nan_action] [--seed 0]

A policy sweeps a simulated arm (env=mujoco, real time) to and fro at 0.2 m/s. Each fault comes at a
random moment, at the boundary where it would come in reality: in the camera's frames, in the link
to the driver, on the wire between client and server, in the policy's answer, in the recorder's
file. `detectable` is when it could first be known: at once where something raises or is malformed
(a policy when it is next asked, a wire at its next answer, a disk at the next write);
for what merely stops coming, when its age passes the limit of configs/robot/simulated.yaml, or when
the actions that were planned before run out. `hold` is from there to the first command that no
longer follows the policy, `rest` until all joints are slower than 0.05 rad/s. Faults that have to
be survived have no hold; an arm that held all the same is counted. Between the safety layer and the
driver an independent monitor checks every command and every measured joint. The last line on stdout
is the path of results.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fault_kinds import AFTER_S, FAULTS, START_S, Fault, Stage, at_once
from benchmarks.fault_stage import (
    FaultyCamera,
    KilledLoop,
    Proxy,
    Sweep,
    limits,
    run_until_killed,
    simulation,
)
from benchmarks.monitored_arm import MonitoredArm
from benchmarks.timing import describe_machine
from robot.data.store import EpisodeStore
from robot.deploy.history import Outcome
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.operator import NOTHING, Intent
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.recorder import EPISODES, JOURNALS, Recorder, recover
from robot.deploy.remote import Connection, RemoteAgent
from robot.deploy.rig import Rig
from robot.errors import InputError
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm, single_threaded
from robot.system.command import main_guard, run_directory, write_results

MOVING_S = (0.8, 1.6)  # after the first step: then the fault comes
REST_RAD_S = 0.05
ALLOWED_S = 0.1  # from detectable to hold
CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Trial:
    """What came of one fault."""

    hold_s: float | None  # from detectable
    rest_s: float | None  # from detectable
    held: bool
    largest_step_m: float
    largest_lead_m: float
    violations: tuple[str, ...]
    ended: str
    lost_episodes: int = 0


class Injector:
    """An operator who, at a moment, breaks something."""

    def __init__(self, begin: Callable[[], None], *, after_s: float) -> None:
        self._begin, self._after_s = begin, after_s
        self._first_s: float | None = None
        self.injected_s: float | None = None

    def poll(self, *, gripper: float) -> Intent:
        now = time.monotonic()
        self._first_s = self._first_s or now
        if self.injected_s is None and now - self._first_s >= self._after_s:
            self.injected_s = now
            self._begin()
        return NOTHING

    def ask(self, question: str) -> str:
        """Nobody is there to be asked."""
        return "no"

    def begins(self, *, gripper: float) -> None:
        """Wait for the first step."""

    def close(self) -> None:
        """Do nothing."""


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    chosen = options.kinds.split(",") if options.kinds else list(FAULTS)
    if unknown := [kind for kind in chosen if kind not in FAULTS]:
        raise InputError(
            f"got --kinds {','.join(unknown)}, expected some of {', '.join(FAULTS)}; choose these"
        )
    sys.setswitchinterval(0.0005)
    load_before = os.getloadavg()[0]
    results: dict[str, list[Trial]] = {kind: [] for kind in chosen}
    try:
        with ExitStack() as stack:
            stage = make_stage(seed=options.seed)
            stack.callback(stage.safe.disconnect)
            todo = [(kind, n) for kind in chosen for n in range(options.trials)]
            for kind, number in track(todo, description="faults", console=CONSOLE):
                trial = killed_trial(number) if kind == "kill_9" else run_trial(stage, kind)
                results[kind].append(trial)
    finally:  # what was tried counts, also when it is cut off
        rows = {kind: summary(kind, trials) for kind, trials in results.items() if trials}
        _print_table(rows)
        machine = describe_machine(load_before=load_before)
        write_results(run_directory("faults"), {"faults": rows, "machine": machine})


def make_stage(*, seed: int) -> Stage:
    """Connect a simulated arm behind monitor and safety layer."""
    simulated = SimulatedArm(simulation())
    monitor = MonitoredArm(simulated, limits())
    safe = SafeArm(monitor, limits())
    safe.connect()
    cameras = [FaultyCamera(stream) for stream in simulated.cameras]
    rig = Rig(safe, cameras)
    return Stage(
        monitor=monitor,
        safe=safe,
        cameras=cameras,
        rig=rig,
        sweep=Sweep(rig.spaces),
        simulated=simulated,
        rng=random.Random(seed),
    )


def run_trial(stage: Stage, kind: str) -> Trial:
    """Move, break something, watch; then take it back."""
    fault = FAULTS[kind]
    stage.safe.stop()
    stage.simulated.reset(seed=stage.rng.randrange(1000))
    stage.rig.forget()
    after_s = stage.rng.uniform(*MOVING_S)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        agent, break_wire, proxy = policy_of(stage, fault, stack)
        planner = AsyncPlanner(agent)
        stack.callback(planner.stop, timeout_s=AFTER_S + 2.0)
        planner.start()
        recorder, fill = recorder_of(fault, folder, stack)

        def broke_s() -> float | None:
            """Return when what was broken first did wrong, where that is later."""
            return (
                stage.sweep.broke_s
                or (proxy.broke_s if proxy else None)
                or (recorder.failed_s if recorder else None)
            )

        known = {"s": 0.0}

        def begin() -> None:
            now = time.monotonic()
            fault.begin(stage)
            break_wire()
            fill()
            known["s"] = fault.detectable(stage, now) if fault.detectable else now

        injector = Injector(begin, after_s=after_s)
        loop = Loop(
            stage.rig,
            planner,
            options=LoopOptions(seams="switch", fault_timeout_s=30.0, plan_timeout_s=30.0),
            goal="sweep",
            operator=injector,
            recorder=recorder,
        )
        stage.monitor.forget()
        header = Header(1, "sweep", "sweep", "clean", 0, stage.rig.spaces)
        outcome = loop.run_episode(limit_s=after_s + AFTER_S, header=header)
        # a policy that hangs says nothing: that is known when its actions run out
        known_s = (broke_s() if fault.detectable is at_once else None) or known["s"]
        watchdogs = [i.time_s for i in stage.safe.recent if i.kind.value == "watchdog"]
        stage.restore()
        lost = lost_episodes(recorder, folder)
    return judged(stage, fault, outcome, known_s, watchdogs, lost=lost)


def policy_of(
    stage: Stage, fault: Fault, stack: ExitStack
) -> tuple[Any, Callable[[], None], Proxy | None]:
    """Return what plans, what breaks the wire to it, and the wire."""
    if not fault.remote:
        return stage.sweep, lambda: None, None
    server, port = stage.servers.take(stage.rig.spaces)
    proxy = Proxy(port)
    stack.callback(proxy.close)
    remote = RemoteAgent(Connection(f"ws://127.0.0.1:{proxy.port}", deadline_s=2.0))
    stack.callback(remote.connection.close)
    stage.undo.append(lambda: setattr(proxy, "kind", ""))

    def break_wire() -> None:
        if fault.remote == "killed":
            stage.servers.kill(server)
        else:
            proxy.kind = fault.remote

    return Noting(remote, stage.sweep), break_wire, proxy


class Noting:
    """Keeps the time of the newest observation that was answered."""

    def __init__(self, agent: RemoteAgent, sweep: Sweep) -> None:
        self._agent, self._sweep = agent, sweep
        self.check = agent.check

    def plan(self, observation, *, generator=None, prefix=None):  # type: ignore[no-untyped-def]
        plan = self._agent.plan(observation, generator=generator, prefix=prefix)
        self._sweep.last_s = observation.time_s
        return plan


def recorder_of(
    fault: Fault, folder: Path, stack: ExitStack
) -> tuple[Recorder | None, Callable[[], None]]:
    """Return a recorder with an episode that is complete, and what fills its disk."""
    if not fault.records:
        return None, lambda: None
    recorder = Recorder(folder, videos=False)
    stack.callback(recorder.close)
    pid = recorder.pid
    assert pid is not None

    def fill() -> None:
        # the kernel refuses every further byte, as it does on a full disk
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))

    return recorder, fill


def lost_episodes(recorder: Recorder | None, folder: Path) -> int:
    """Return how many completed episodes are not there any more: of the one that was recorded
    until the disk was full, the journal counts as well.
    """
    if recorder is None:
        return 0
    recorder.close()
    kept = len(EpisodeStore(folder / EPISODES)) + len(list((folder / JOURNALS).glob("*")))
    return int(kept == 0)


def judged(
    stage: Stage,
    fault: Fault,
    outcome: Outcome,
    known_s: float,
    watchdogs: Sequence[float],
    *,
    lost: int,
) -> Trial:
    """Return what came of a trial."""
    held = [
        t for t, h in zip(outcome.times_s, outcome.held, strict=True) if h and t >= known_s - 0.1
    ]
    held += [t for t in watchdogs if t >= known_s - 0.1]
    ended_s = outcome.times_s[-1] + stage.rig.spaces.control_dt_s
    if outcome.ended.startswith("fault"):
        held.append(ended_s)
    first = min(held, default=None)
    rest = next(
        (
            t
            for t, speed in stage.monitor.speeds
            if first is not None and t >= first and speed < REST_RAD_S
        ),
        None,
    )
    return Trial(
        hold_s=None if first is None else max(0.0, first - known_s),
        rest_s=None if rest is None else max(0.0, rest - known_s),
        held=first is not None,
        largest_step_m=stage.monitor.largest_step_m,
        largest_lead_m=stage.monitor.largest_lead_m,
        violations=tuple(stage.monitor.violations),
        ended=outcome.ended,
        lost_episodes=lost,
    )


def killed_trial(number: int) -> Trial:
    """Kill a loop in a process of its own; its arm writes down what it did."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, trace = Path(temporary) / "recording", Path(temporary) / "trace.npz"
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        asked = KilledLoop(folder=folder, trace=trace)
        loop = context.Process(target=run_until_killed, args=(theirs, asked))
        with single_threaded():
            loop.start()
        assert loop.pid is not None
        if not ours.poll(START_S):
            loop.kill()
            raise RuntimeError("the loop to kill did not start")
        ours.recv()
        time.sleep(random.Random(number).uniform(*MOVING_S))
        os.kill(loop.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        loop.join()
        _wait_for(trace.exists, timeout_s=20.0)
        time.sleep(0.3)
        content = np.load(trace)
        motion, commands = content["motion"], content["commands"]
        _wait_for(lambda: recover(folder) == [] and not any((folder / JOURNALS).iterdir()))
        episodes = EpisodeStore(folder / EPISODES).indices()
    joints = (motion.shape[1] - 4) // 2
    times, speed = motion[:, 0], np.abs(motion[:, 1 + joints : 1 + 2 * joints]).max(1)
    rest = times[(times >= killed_s) & (speed < REST_RAD_S)]
    steps = np.linalg.norm(np.diff(commands[:, 1:4], axis=0), axis=1)
    after = commands[commands[:, 0] > killed_s + 0.02]
    found = [f"{len(after)} commands after the kill"] if len(after) else []
    found += ["never at rest"] if not len(rest) else []
    return Trial(
        hold_s=0.0,  # no command comes from a dead process
        rest_s=float(rest[0] - killed_s) if len(rest) else None,
        held=True,
        largest_step_m=float(steps.max()),
        largest_lead_m=float("nan"),
        violations=tuple(found),
        ended="killed",
        lost_episodes=2 - len(episodes),
    )


def summary(kind: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the row of a kind."""
    fault = FAULTS[kind]
    holds = [t.hold_s for t in trials if t.hold_s is not None]
    rests = [t.rest_s for t in trials if t.rest_s is not None]
    violations = [v for t in trials for v in t.violations]
    wrong = sum(not t.held for t in trials) if fault.holds else 0
    late = sum(h > ALLOWED_S for h in holds) if fault.holds else 0
    return {
        "has_to_hold": fault.holds,
        "trials": len(trials),
        "held": sum(t.held for t in trials),
        "did_not_hold": wrong,
        "hold_ms": {"median": 1e3 * median(holds), "max": 1e3 * max(holds)} if holds else None,
        "rest_ms": {"mean": 1e3 * mean(rests), "max": 1e3 * max(rests)} if rests else None,
        "later_than_100_ms": late,
        "largest_step_mm": 1e3 * max(t.largest_step_m for t in trials),
        "largest_lead_mm": 1e3 * max(t.largest_lead_m for t in trials),
        "violations": len(violations),
        "examples": violations[:3],
        "lost_episodes": sum(t.lost_episodes for t in trials),
        "ended": sorted({t.ended for t in trials}),
    }


def _print_table(rows: dict[str, dict[str, Any]]) -> None:
    table = Table(title="faults", title_justify="left")
    for column in ("fault", "trials", "held", "hold ms (median, max)", "rest ms (max)"):
        table.add_column(column)
    for column in ("largest step mm", "violations", "episodes lost"):
        table.add_column(column)
    for kind, row in rows.items():
        hold, rest = row["hold_ms"], row["rest_ms"]
        expected = "" if row["has_to_hold"] else " (need not)"
        table.add_row(
            kind,
            str(row["trials"]),
            f"{row['held']}{expected}",
            f"{hold['median']:.0f}, {hold['max']:.0f}" if hold and row["has_to_hold"] else "-",
            f"{rest['max']:.0f}" if rest and row["has_to_hold"] else "-",
            f"{row['largest_step_mm']:.1f}",
            str(row["violations"]),
            str(row["lost_episodes"]),
        )
    CONSOLE.print(table)


def _wait_for(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=20, help="of each kind")
    parser.add_argument("--kinds", default="", help="separated by commas; all where left out")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
