"""`python benchmarks/experts.py`: do the scripted experts succeed? The tabletop in clean and
distract, the others in clean; a suite of LIBERO (--tasks libero_object) in its own --scenes.

The experts act under the same disturbance as when they demonstrate; nothing is rendered; a first
try counts, no second one.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.libero.names import WITH_EXPERT, is_libero
from robot.envs.make import EnvOptions, make_env
from robot.envs.registry import BUILTIN, TASKS
from robot.envs.robots import ROBOTS
from robot.report.statistics import wilson95
from robot.rollout.demonstrate import Disturbance
from robot.system.command import main_guard, run_directory, write_results
from robot.system.parallel import available_workers, parallel_map
from robot.types import InputError


def make_trial(*, task: str, scene: str, seed: int, robot: str):
    backend = "libero" if is_libero(task) else "robosuite"
    env = make_env(task, EnvOptions(backend=backend, robot=robot, image_size=16))

    def trial(index: int) -> bool:
        env.reset(seed=seed, options={"episode": index, "scene": scene})
        rng = np.random.default_rng([seed, index])
        expert, disturbance = env.expert(rng=rng), Disturbance(rng)
        success = truncated = False
        while not (success or truncated):
            success, truncated = env.advance(disturbance(expert.act())[None])
        return success

    return trial


@main_guard
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=[t for t in TASKS if t not in ("place", "place_any")],
        choices=(*TASKS, *WITH_EXPERT),
    )
    parser.add_argument("--robots", nargs="+", default=[DEFAULT_ROBOT], choices=ROBOTS)
    parser.add_argument("--scenes", nargs="+", default=["clean", "distract"])
    parser.add_argument("--workers", type=int, default=available_workers())
    arguments = parser.parse_args()
    if arguments.episodes < 1:
        raise InputError(f"got --episodes {arguments.episodes}, expected at least 1")
    table, cells = (
        Table(
            "robot",
            "task",
            "scene",
            "success",
            "95% interval",
            title=f"Experts, {arguments.episodes} episodes each",
        ),
        [],
    )
    for robot, task in product(arguments.robots, arguments.tasks):
        for scene in ("clean",) if task in BUILTIN else arguments.scenes:
            make = partial(make_trial, task=task, scene=scene, seed=arguments.seed, robot=robot)
            trials = dict(parallel_map(make, range(arguments.episodes), workers=arguments.workers))
            successes = sum(trials.values())
            low, high = wilson95(successes, arguments.episodes)
            table.add_row(
                robot,
                task,
                scene,
                f"{successes / arguments.episodes:.1%}",
                f"{low:.1%} to {high:.1%}",
            )
            failed = sorted(index for index, success in trials.items() if not success)
            cells.append(
                {
                    "robot": robot,
                    "task": task,
                    "scene": scene,
                    "success_rate": successes / arguments.episodes,
                    "wilson95": [low, high],
                    "episodes": arguments.episodes,
                    "seeds": [arguments.seed],
                    "failed": failed,
                }
            )
            print(f"{robot} {task}/{scene}: {successes}/{arguments.episodes}", flush=True)
    Console().print(table)
    write_results(run_directory("bench-experts", root=Path("runs")), {"cells": cells})


if __name__ == "__main__":
    main()
