"""Asynchronous against synchronous execution with latency added to every plan, in one run.

    python benchmarks/async_execution.py [--episodes 20] [--latency-ms 150] [--checkpoint tabletop]
        [--ways sync,switch,blend,rtc] [--virtual]

`sync` waits for every plan, the others plan beside the motion and join chunks as
robot.deploy.schedule says. The same initial states for all, in turns. Pauses are stretches in which
the arm was held after its first action. Jerk is the third derivative of the commanded position,
from the actions that were due, at the steps where another chunk takes over over that at all others
(medians). The arm is simulated (env=mujoco) in real time; `--virtual` steps the simulator instead,
so that a plan takes exactly the added latency, in whole control steps, whatever the computer does.
The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fault_stage import limits
from benchmarks.timing import describe_machine
from robot.agent import Agent
from robot.checkpoint import resolve_checkpoint
from robot.deploy.loop import Loop
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.rig import Rig
from robot.deploy.schedule import Schedule, jerk
from robot.envs.make import EnvOptions, make_env
from robot.errors import InputError
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm
from robot.hardware.simulator import Simulation
from robot.spaces import hold_still
from robot.system.command import main_guard, run_directory, write_results
from robot.types import Observation

WAYS: dict[str, dict[str, Any]] = {
    "sync": {"execution": "sync"},
    "switch": {"seams": "switch"},
    "blend": {"seams": "blend"},
    "ensemble": {"seams": "ensemble"},
    "rtc": {"seams": "rtc"},
    "rtc_guided": {"seams": "rtc", "guided": True},
}
EPISODE_S = 12.0
SEED = 1000
CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """One episode: what was due and held at every step, and from which chunk."""

    success: bool
    actions: np.ndarray
    chunks: tuple[int, ...]
    pauses: int
    held_steps: int
    plan_ms: float | None


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    ways = options.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        raise InputError(f"got --ways {','.join(unknown)}, expected some of {', '.join(WAYS)}")
    torch.set_num_threads(1)
    sys.setswitchinterval(0.0005)
    load_before = os.getloadavg()[0]
    agent = Agent.load(resolve_checkpoint(options.checkpoint), device="cpu")
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    with ExitStack() as stack:
        make = virtual if options.virtual else real
        drive = make(agent, options.latency_ms / 1e3, stack)
        todo = [(way, episode) for episode in range(options.episodes) for way in ways]
        for way, episode in track(todo, description="episodes", console=CONSOLE):
            runs[way].append(drive(LoopOptions(**WAYS[way]), episode))
    rows = {way: summary(found) for way, found in runs.items()}
    _print_table(rows)
    machine = describe_machine(load_before=load_before)
    content = {**vars(options), "ways": rows, "machine": machine}
    write_results(run_directory("async_execution"), content)


Drive = Callable[[LoopOptions, int], Run]


def real(agent: Agent, latency_s: float, stack: ExitStack) -> Drive:
    """Return what drives an episode in real time."""
    arm = SimulatedArm(Simulation(env=EnvOptions(backend="mujoco")))
    safe = SafeArm(arm, limits())
    stack.callback(safe.disconnect)
    safe.connect()
    rig = Rig(safe, arm.cameras)
    warm_up = rig.observe(arm.goal).observation

    def drive(options: LoopOptions, episode: int) -> Run:
        planner = AsyncPlanner(agent, seed=episode, delay_s=latency_s)
        planner.start(warm_up=warm_up)
        safe.stop()
        goal = arm.reset(seed=SEED, episode=episode)
        rig.forget()
        agent.reset()
        succeeded = lambda: arm.progress().success  # noqa: E731
        loop = Loop(rig, planner, options=options, goal=goal, succeeded=succeeded)
        outcome = loop.run_episode(limit_s=EPISODE_S)
        planner.stop()
        return Run(
            success=bool(outcome.success),
            actions=outcome.due,
            chunks=outcome.chunks,
            pauses=outcome.pauses,
            held_steps=outcome.held_steps,
            plan_ms=float(np.median(outcome.latency_ms)) if outcome.latency_ms else None,
        )

    return drive


def virtual(agent: Agent, latency_s: float, stack: ExitStack) -> Drive:
    """Return what steps through an episode: a plan is there `latency_s` after it was asked for."""
    env = make_env("pick", EnvOptions(backend="mujoco"))
    stack.callback(env.close)
    delay = max(1, round(latency_s / env.control_dt_s))

    def drive(options: LoopOptions, episode: int) -> Run:
        raw, info = env.reset(seed=SEED, options={"episode": episode})
        agent.reset()
        generator = torch.Generator().manual_seed(episode)
        sync, rtc = options.execution == "sync", options.seams == "rtc"
        schedule = Schedule(
            seams=options.seams, blend_steps=options.blend_steps, guided=options.guided
        )
        still = hold_still(env.spaces, Observation.from_env(raw, env.spaces).proprio)
        waits, offered, done, held = None, -(10**9), False, []
        actions, chunks = [], []
        while not done:
            t = len(actions)
            if waits is not None and t - waits[0] >= delay:
                start, chunk = waits
                chunk = chunk[: options.execute_steps] if sync else chunk
                schedule.add(chunk, start=t if sync else start, now=t)
                waits = None
            left = schedule.left(t)
            wanted = not left if sync else t - offered >= options.replan_steps or not left
            if waits is None and wanted:
                prefix = None
                if rtc and not sync:
                    prefix = schedule.prefix(start=t, now=t, delay_steps=delay)
                seen = Observation.from_env(raw, env.spaces)
                plan = agent.plan(seen, generator=generator, prefix=prefix)
                waits, offered = (t, plan.chunk.actions), t
            due = schedule.due(t)
            action = still if due is None else due.action
            raw, _, terminated, truncated, info = env.step(action)
            schedule.executed(t, action)
            actions.append(action)
            chunks.append(-1 if due is None else due.chunk)
            held.append(due is None)
            done = terminated or truncated
        begun = held[held.index(False) :]
        return Run(
            success=bool(info["success"]),
            actions=np.array(actions),
            chunks=tuple(chunks),
            pauses=sum(b and not a for a, b in zip([False, *begun], begun, strict=False)),
            held_steps=sum(begun),
            plan_ms=1e3 * delay * env.control_dt_s,
        )

    return drive


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the row of one way."""
    seam, inside = [], []
    for run in runs:
        sizes = jerk(run.actions[:, :3], dt_s=0.05)
        for step in range(2, len(run.chunks)):
            of = run.chunks[step - 2 : step + 1]
            if min(of) >= 0:
                (seam if len(set(of)) > 1 else inside).append(sizes[step - 2])
    ratio = float(np.median(seam) / np.median(inside)) if seam and inside else None
    return {
        "success": sum(run.success for run in runs) / len(runs),
        "episodes": len(runs),
        "steps": float(np.median([len(run.actions) for run in runs])),
        "pauses": sum(run.pauses for run in runs),
        "held_steps": sum(run.held_steps for run in runs),
        "jerk_at_seams": float(np.median(seam)) if seam else None,
        "jerk_inside": float(np.median(inside)) if inside else None,
        "jerk_ratio": ratio,
        "plan_ms": float(np.median([run.plan_ms for run in runs if run.plan_ms is not None])),
    }


def _print_table(rows: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table(title="execution with added latency", title_justify="left")
    for column in ("way", "success", "steps", "pauses", "jerk at seams / inside", "plan ms"):
        table.add_column(column)
    for way, row in rows.items():
        ratio = "-" if row["jerk_ratio"] is None else f"{row['jerk_ratio']:.2f}"
        success = f"{row['success']:.0%} of {row['episodes']}"
        numbers = (f"{row['steps']:.0f}", str(row["pauses"]), ratio, f"{row['plan_ms']:.0f}")
        table.add_row(way, success, *numbers)
    CONSOLE.print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=20, help="of each way")
    parser.add_argument("--latency-ms", type=float, default=150.0)
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--ways", default="sync,switch,blend,rtc")
    parser.add_argument("--virtual", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
