"""Measure control steps per second of env=mujoco beside env=robosuite, in one run.

    python benchmarks/env_step.py [--task pick] [--scene clean] [--episodes 6] [--size 128]

Both play the same episodes, in turns, each led by the task's expert; a step is `env.step`: 50 ms of
physics under control, then an observation with both cameras. Only steps are timed, not the expert.
Reported are medians of the wall time per step; the ratio of processor time (all threads) beside it
is what a busy machine distorts least. NumPy takes one thread, as everywhere in this project:
robosuite's controller is many times slower with two. The last line is the path of results.json.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.timing import describe_machine, said_of_load, timed
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions, check_backend, make_env
from robot.envs.registry import check_scene
from robot.envs.simulated import SimulatedEnv
from robot.types import InputError

BACKENDS = ("robosuite", "mujoco")


@dataclass
class Times:
    """Wall and processor seconds: of steps, of their two parts, and of resets."""

    step: list[tuple[float, float]] = field(default_factory=list)
    move: list[tuple[float, float]] = field(default_factory=list)
    observe: list[tuple[float, float]] = field(default_factory=list)
    reset: list[tuple[float, float]] = field(default_factory=list)
    successes: int = 0


def main() -> int:
    """Run the comparison; return the exit code."""
    options = _arguments()
    load = os.getloadavg()[0]
    try:
        if options.episodes < 1:
            raise InputError(f"got --episodes {options.episodes}, expected at least 1")
        check_scene(options.task, options.scene)
        check_backend("mujoco", robot="Panda", task=options.task)
        gl = require_gl()  # before robosuite is imported
        times = compare(
            task=options.task, scene=options.scene, episodes=options.episodes, size=options.size
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    results = summarise(times)
    machine = describe_machine(load_before=load)
    _print_table(results, title=f"{options.task} {options.scene}, two cameras {options.size} px")
    print(f"{machine['processor']}, {gl}, {said_of_load(machine)}")
    folder = Path(options.runs) / f"{time.strftime('%Y-%m-%d-%H%M%S')}-bench-env-step"
    folder.mkdir(parents=True)
    everything = {**results, "machine": machine, "gl": gl, **vars(options)}
    (folder / "results.json").write_text(json.dumps(everything, indent=2) + "\n")
    print(folder / "results.json")
    return 0


def compare(*, task: str, scene: str, episodes: int, size: int) -> dict[str, Times]:
    """Play the episodes with both backends, in turns; return their times."""
    envs = {
        backend: make_env(task, EnvOptions(backend=backend, image_size=size))
        for backend in BACKENDS
    }
    times = {backend: Times() for backend in BACKENDS}
    for env in envs.values():
        play(env, scene=scene, index=0, times=Times())  # the first one compiles shaders
    for index in range(episodes):
        for backend in BACKENDS if index % 2 else reversed(BACKENDS):
            play(envs[backend], scene=scene, index=index, times=times[backend])
    for env in envs.values():
        env.close()
    return times


def play(env: SimulatedEnv, *, scene: str, index: int, times: Times) -> None:
    """Play one episode with the expert. Every other step is timed in its parts instead."""
    options = {"episode": index, "scene": scene}
    times.reset.append(timed(lambda: env.reset(seed=0, options=options)))
    expert = env.expert(rng=np.random.default_rng([0, index]))
    for step in range(env.horizon):
        action = expert.act()[None]
        if step % 2:
            times.move.append(timed(lambda: env.advance(action)))  # noqa: B023
            times.observe.append(timed(env.observe))
        else:
            times.step.append(timed(lambda: env.execute(action)))  # noqa: B023
        if env.task.success(env.sim):
            times.successes += 1
            return


def summarise(times: dict[str, Times]) -> dict[str, float]:
    """Return steps per second of both, their ratio, and milliseconds of the parts."""
    results: dict[str, float] = {}
    for backend, of in times.items():
        step_s, step_cpu_s = np.median(np.array(of.step), axis=0)
        results |= {
            f"{backend}_steps_per_s": 1.0 / step_s,
            f"{backend}_step_ms": 1e3 * step_s,
            f"{backend}_step_cpu_ms": 1e3 * step_cpu_s,
            f"{backend}_move_ms": 1e3 * float(np.median(np.array(of.move)[:, 0])),
            f"{backend}_observe_ms": 1e3 * float(np.median(np.array(of.observe)[:, 0])),
            f"{backend}_reset_ms": 1e3 * float(np.median(np.array(of.reset)[:, 0])),
            f"{backend}_steps": len(of.step) + len(of.move),
            f"{backend}_successes": of.successes,
        }
    slow, fast = BACKENDS
    results["ratio"] = results[f"{slow}_step_ms"] / results[f"{fast}_step_ms"]
    results["cpu_ratio"] = results[f"{slow}_step_cpu_ms"] / results[f"{fast}_step_cpu_ms"]
    return results


def _print_table(results: dict[str, float], *, title: str) -> None:
    table = Table(title=title)
    table.add_column("")
    for backend in BACKENDS:
        table.add_column(f"env={backend}", justify="right")
    rows = {
        "control steps per s": ("steps_per_s", ".0f"),
        "step [ms]": ("step_ms", ".2f"),
        "  physics and control": ("move_ms", ".2f"),
        "  observation, two cameras": ("observe_ms", ".2f"),
        "step, processor [ms]": ("step_cpu_ms", ".2f"),
        "reset [ms]": ("reset_ms", ".0f"),
        "steps": ("steps", ".0f"),
        "expert's successes": ("successes", ".0f"),
    }
    for name, (key, form) in rows.items():
        table.add_row(name, *(format(results[f"{backend}_{key}"], form) for backend in BACKENDS))
    table.add_row("ratio", "1", f"{results['ratio']:.1f}")
    table.add_row("ratio of processor time", "1", f"{results['cpu_ratio']:.1f}")
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="pick")
    parser.add_argument("--scene", default="clean")
    parser.add_argument("--episodes", type=int, default=6)
    parser.add_argument("--size", type=int, default=128, help="pixels, square, both cameras")
    parser.add_argument("--runs", default="runs", help="folder under which results are written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
