"""Leave the loop running: missed e-stop polls, memory, period.

    python benchmarks/soak.py [--minutes 30] [--checkpoint tabletop] [--record]

The agent of a checkpoint drives a simulated arm (env=mujoco, real time) episode after episode at
20 Hz. `missed polls` are control steps in which the operator was not asked; `missed steps` periods
without a control step. Memory is the resident size of this process, after a tenth of the time and
at the end (medians of a tenth each). The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from rich.console import Console

from benchmarks.fault_stage import limits
from benchmarks.timing import describe_machine
from robot.agent import Agent
from robot.checkpoint import resolve_checkpoint
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.recorder import Recorder
from robot.deploy.rig import Rig
from robot.envs.make import EnvOptions
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm
from robot.hardware.simulator import Simulation
from robot.system.command import main_guard, run_directory, write_results

EPISODE_S = 12.0
CONSOLE = Console(stderr=True)


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    checkpoint = resolve_checkpoint(options.checkpoint)
    torch.set_num_threads(1)
    sys.setswitchinterval(0.0005)
    load_before, run = os.getloadavg()[0], run_directory("soak")
    memory: list[int] = []
    steps = successes = episodes = 0
    with ExitStack() as stack:
        arm = SimulatedArm(Simulation(env=EnvOptions(backend="mujoco")))
        safe = SafeArm(arm, limits())
        stack.callback(safe.disconnect)
        safe.connect()
        rig, agent = Rig(safe, arm.cameras), Agent.load(checkpoint, device="cpu")
        planner = AsyncPlanner(agent)
        stack.callback(planner.stop)
        planner.start(warm_up=rig.observe(arm.goal).observation)
        recorder = Recorder(run / "recording", videos=False) if options.record else None
        if recorder is not None:
            stack.callback(recorder.close)
        loop = Loop(
            rig,
            planner,
            options=LoopOptions(),
            goal="",
            recorder=recorder,
            succeeded=lambda: arm.progress().success,
        )
        began = time.monotonic()
        while time.monotonic() - began < 60 * options.minutes:
            safe.stop()
            loop.change_goal(arm.reset(seed=1000, episode=episodes))
            rig.forget()
            agent.reset()
            header = Header(episodes, "pick", loop.goal, "clean", 1000, rig.spaces)
            outcome = loop.run_episode(limit_s=EPISODE_S, header=header)
            steps, episodes = steps + outcome.steps, episodes + 1
            successes += bool(outcome.success)
            memory.append(resident_bytes())
        seconds = time.monotonic() - began
    timing = loop.clock.timing()
    tenth = max(1, len(memory) // 10)
    warm, end = median(memory[tenth : 2 * tenth] or memory), median(memory[-tenth:])
    results = {
        "minutes": seconds / 60,
        "episodes": episodes,
        "success": successes / episodes,
        "steps": steps,
        "missed_polls": steps - loop.polls,
        "missed_steps": timing.missed,
        "period_ms": {
            "p50": timing.period_p50_ms,
            "p99": timing.period_p99_ms,
            "max": timing.period_max_ms,
        },
        "memory_mb": {"warm": warm / 1e6, "end": end / 1e6, "growth": end / warm - 1},
        "interventions": dict(safe.interventions),
        "events": dict(loop.event_counts),
        "recording_failure": None if recorder is None else recorder.failure,
        "machine": describe_machine(load_before=load_before),
    }
    CONSOLE.print(
        f"{results['minutes']:.1f} min, {steps} steps, {results['missed_polls']} missed polls, "
        f"{timing.missed} missed steps, period p99 {timing.period_p99_ms:.1f} ms, memory "
        f"{warm / 1e6:.0f} -> {end / 1e6:.0f} MB, success {successes}/{episodes}"
    )
    write_results(run, results)


def resident_bytes() -> int:
    """Return the resident size of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--record", action="store_true", help="record as launch/deploy.py does")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
