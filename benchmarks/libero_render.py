"""Measure our frames of LIBERO's scenes against LIBERO's own, on the same official initial states.

    python -m benchmarks.libero_render [--task libero_object-1] [--states 10] [--size 128]

Each side has a process of its own and draws the agentview of the same states in turns. Reported are
the medians of the wall and of the processor times (all threads) per frame, their ratios, and the
mean difference of the pictures. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.timing import describe_machine, said_of_load, timed
from robot.envs.gl import require_gl
from robot.envs.libero.files import (
    initial_states,
    problem_classes,
    problem_file,
    require_packages,
)
from robot.envs.libero.names import OFFICIAL, TaskName, is_libero
from robot.types import InputError

SIDES = ("libero", "ours")
FRAMES = 5  # timed per state and turn


def main() -> int:
    """Run the comparison; return the exit code."""
    options = _arguments()
    load = os.getloadavg()[0]
    try:
        if not is_libero(options.task) or "-" not in options.task:
            raise InputError(f"got --task {options.task}, expected one such as libero_object-1")
        if not 1 <= options.states <= 50:
            raise InputError(f"got --states {options.states}, expected 1 to 50")
        gl = require_gl()
        require_packages()
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    times, pictures = compare(task=options.task, states=options.states, size=options.size)
    results = summarise(times) | {
        "mean_pixel_change": float(np.mean([np.abs(a - b).mean() for a, b in pictures]))
    }
    machine = describe_machine(load_before=load)
    _print_table(results, title=f"{options.task}, agentview {options.size} px")
    print(f"{machine['processor']}, {gl}, {said_of_load(machine)}")
    folder = Path(options.runs) / f"{time.strftime('%Y-%m-%d-%H%M%S')}-bench-libero-render"
    folder.mkdir(parents=True)
    side_by_side = np.concatenate([np.concatenate(pair, axis=1) for pair in pictures[:4]])
    Image.fromarray(side_by_side.astype(np.uint8)).save(folder / "side-by-side.png")
    record = {**results, "machine": machine, "gl": gl, **vars(options)}
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    print(folder / "results.json")
    return 0


def compare(
    *, task: str, states: int, size: int
) -> tuple[dict[str, list[tuple[float, float]]], list[tuple[np.ndarray, np.ndarray]]]:
    """Return (wall, processor) seconds per frame of each side, and its pictures of every state."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes = []
    for side in SIDES:
        pipes[side], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(side, task, size, theirs)))
        processes[-1].start()
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    pictures = []
    for state in range(states):
        seen = {}
        for side in SIDES if state % 2 else reversed(SIDES):
            pipes[side].send(state)
            seen[side], took = pipes[side].recv()
            times[side] += took
        pictures.append((seen["libero"].astype(float), seen["ours"].astype(float)))
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(None)
        process.join()
    return times, pictures


def serve(side: str, task: str, size: int, pipe: Connection) -> None:
    """Answer numbers of initial states with a picture, upright, and the times of drawing it."""
    make = _their_scene if side == "libero" else _our_scene
    show, draw = make(task, size)
    show(0)
    draw()  # the first one compiles shaders
    while (state := pipe.recv()) is not None:
        show(state)
        took = [timed(draw) for _ in range(FRAMES)]
        pipe.send((draw(), took))


def _their_scene(task: str, size: int) -> Any:
    """Return LIBERO's own env, with its meshes, textures, shadows and multisampling."""
    problem_classes()
    wrapper: Any = import_module("liberopro.liberopro.envs.env_wrapper")
    name = TaskName.of(task)
    assert name.number is not None
    env = wrapper.OffScreenRenderEnv(
        bddl_file_name=str(problem_file(name.suite, name.number, OFFICIAL)),
        camera_heights=size,
        camera_widths=size,
    )
    env.reset()
    states = initial_states(name.suite, name.number, OFFICIAL)

    def draw() -> np.ndarray:
        return env.sim.render(width=size, height=size, camera_name="agentview")[::-1]

    return lambda k: env.set_init_state(states[k]), draw


def _our_scene(task: str, size: int) -> Any:
    """Return our env of the same task, in the same states, before they settle."""
    from robot.envs.libero.env import LiberoEnv

    env = LiberoEnv(task=task, image_size=size)
    env.reset(seed=0)
    name = TaskName.of(task)
    assert name.number is not None
    states = initial_states(name.suite, name.number, OFFICIAL)
    return lambda k: env.sim.set_state(states[k]), env.render


def summarise(times: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Return milliseconds per frame of both sides, and their ratios."""
    results: dict[str, float] = {}
    for side, of in times.items():
        wall_s, processor_s = np.median(np.array(of), axis=0)
        results |= {f"{side}_ms": 1e3 * wall_s, f"{side}_cpu_ms": 1e3 * processor_s}
    results["ratio"] = results["libero_ms"] / results["ours_ms"]
    results["cpu_ratio"] = results["libero_cpu_ms"] / results["ours_cpu_ms"]
    return results


def _print_table(results: dict[str, float], *, title: str) -> None:
    table = Table(title=title)
    table.add_column("")
    for name in ("LIBERO's own", "ours", "ratio"):
        table.add_column(name, justify="right")
    rows = {"a frame, wall [ms]": ("_ms", "ratio"), "processor [ms]": ("_cpu_ms", "cpu_ratio")}
    for name, (suffix, ratio) in rows.items():
        values = [f"{results[f'{side}{suffix}']:.1f}" for side in SIDES]
        table.add_row(name, *values, f"{results[ratio]:.1f}")
    change = results["mean_pixel_change"]
    table.add_row("mean change of a pixel", "", f"{change:.1f} of 255", "")
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="libero_object-1")
    parser.add_argument("--states", type=int, default=10)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--runs", default="runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
