"""Episodes whose goal is pointed at: is the right one of identical objects taken?

    python benchmarks/region_goals.py [--episodes 200] [--trials duplicates,swapped]
        [--head tabletop]

Every region is a box around the thing in the first frame of `agentview`, no other camera. `named`
and `pointed` are the same clean scenes, asked for in words and by regions. In `duplicates` the
target has one or two exact copies and the destination one; `swapped` asks in the same scenes for a
copy instead. `clutter` adds unseen things; in `pushed` the target is moved 5 cm by the test while
the hand approaches. `right` is the share of episodes that end with the thing that was pointed at
lifted (pick) or set down in the right place (place); `wrong` the share in which another thing was
lifted. Initial states are those of evaluation seed 1000 of env=mujoco; 95% Wilson intervals. The
last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.timing import describe_machine
from robot.agent import Agent
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.placing import WORKSPACE, Placement
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.errors import InputError
from robot.perception.regions.follow import RegionMasks
from robot.report.statistics import wilson95
from robot.system.command import main_guard, run_directory, write_results
from robot.types import Goal, Observation, Region

SEED, EXECUTE = 1000, 8
CAMERA = "agentview"  # in which the boxes are drawn
PUSH_M, PUSH_AT = 0.05, (1, 2)  # decisions before the push
SMALLEST_PX = 12  # of a thing that a person can draw a box around
CONSOLE = Console(stderr=True)
PICK, PLACE = "pick", "red_cup_on_red_plate"
POLICIES = {PICK: "tabletop", PLACE: "place"}
TEXTS = {PICK: "pick up <region1>", PLACE: "put <region1> on <region2>"}


@dataclass(frozen=True)
class Trial:
    """One kind of episode."""

    task: str
    scene: str
    named: bool = False  # by words, as ever
    other: bool = False  # a copy of the target is pointed at instead
    pushed: bool = False


TRIALS = {
    "named": Trial(PICK, "clean", named=True),
    "pointed": Trial(PICK, "clean"),
    "duplicates": Trial(PICK, "duplicates"),
    "swapped": Trial(PICK, "duplicates", other=True),
    "clutter": Trial(PICK, "duplicates_clutter"),
    "pushed": Trial(PICK, "duplicates", pushed=True),
    "place_named": Trial(PLACE, "clean", named=True),
    "place_pointed": Trial(PLACE, "clean"),
    "place_duplicates": Trial(PLACE, "duplicates"),
    "place_swapped": Trial(PLACE, "duplicates", other=True),
}


@dataclass(frozen=True)
class Ending:
    """How an episode ended."""

    index: int
    right: bool
    wrong: bool
    decisions: int
    waited: int
    uncertain: int
    mask_ms: float


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    chosen = options.trials.split(",")
    if unknown := [name for name in chosen if name not in TRIALS]:
        raise InputError(f"got trials {unknown}, expected some of {', '.join(TRIALS)}")
    torch.set_num_threads(1)
    load_before = os.getloadavg()[0]
    env = make_env(PICK, EnvOptions(backend="mujoco"))
    assert isinstance(env, SimulatedEnv)
    agents: dict[str, Agent] = {}
    results: dict[str, list[Ending]] = {}
    try:
        for name in chosen:
            trial = TRIALS[name]
            if trial.task not in agents:
                agents[trial.task] = load_agent(POLICIES[trial.task], head=options.head)
            results[name] = []
            for ending in track(
                endings(env, agents[trial.task], trial, count=options.episodes),
                description=name,
                total=options.episodes,
                console=CONSOLE,
                transient=True,
            ):
                results[name].append(ending)
            CONSOLE.print(name, summary(results[name]))
    finally:
        rows = {name: summary(found) for name, found in results.items() if found}
        machine = describe_machine(load_before=load_before)
        _print_table(rows)
        write_results(
            run_directory("region_goals"),
            {
                "trials": rows,
                "episodes": {
                    name: [vars(ending) for ending in found] for name, found in results.items()
                },
                "machine": machine,
            },
        )


def load_agent(policy: str, *, head: str) -> Agent:
    """Return the agent of shipped weights, with a region head."""
    agent = Agent.load(policy, device="cpu", head="tabletop", verify=False)  # no name to ask for
    assert isinstance(agent.masks, RegionMasks)
    agent.masks = RegionMasks(agent.masks.source, head, reader=agent.reader)
    return agent


def endings(env: SimulatedEnv, agent: Agent, trial: Trial, *, count: int):
    """Yield how `count` episodes end: the first ones in which there is what the trial needs."""
    env.switch_task(trial.task)
    index = done = 0
    while done < count:
        ending = run(env, agent, trial, index=index)
        index += 1
        if ending is not None:
            done += 1
            yield ending


def begin(
    env: SimulatedEnv, trial: Trial, *, index: int
) -> tuple[dict, Goal, tuple[str, ...]] | None:
    """Begin an episode; return what is seen, its goal, and the bodies that it means; None where
    nothing fits the trial.
    """
    options = {"episode": index, "scene": trial.scene}
    raw, _ = env.reset(seed=SEED, options=options)
    task, world = env.task, env.sim
    assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld) and task.scene
    meant = [body for body in (task.scene.target, task.scene.destination) if body]
    if trial.named:
        return raw, Goal(env.goal), tuple(meant)
    if trial.scene != "clean":
        copies = [copies_of(task, body) for body in meant]
        if not all(copies):
            return None
        meant = [found[0] for found in copies] if trial.other else meant
    boxes = [box_around(env, world, body) for body in meant]
    if None in boxes:
        return None
    regions = tuple(Region(CAMERA, box=box, index=k) for k, box in enumerate(boxes, start=1))
    goal = Goal(TEXTS[trial.task], regions)
    raw, _ = env.reset(seed=SEED, options={**options, "goal": goal})
    return raw, goal, tuple(meant)


def run(env: SimulatedEnv, agent: Agent, trial: Trial, *, index: int) -> Ending | None:
    """Run an episode; None where nothing fits the trial."""
    begun = begin(env, trial, index=index)
    if begun is None:
        return None
    raw, _, (target, *_) = begun
    task, world = env.task, env.sim
    assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld)
    rng = np.random.default_rng([SEED, index, 4])
    push_at = int(rng.integers(PUSH_AT[0], PUSH_AT[1] + 1)) if trial.pushed else -1
    agent.reset(rng=rng)
    generator = torch.Generator().manual_seed(SEED * 100_003 + index)
    done = success = wrong = False
    decisions = waited = uncertain = 0
    mask_ms = 0.0
    while not done:
        if decisions == push_at:
            push(world, task, target, rng=rng)
            raw = env.observe()
        plan = agent.plan(Observation.from_env(raw, env.spaces), generator=generator)
        decisions, waited = decisions + 1, waited + plan.waits
        uncertain, mask_ms = uncertain + (plan.mask.status[0] != "found"), mask_ms + plan.mask_ms
        raw, _, success, truncated, info = env.execute(plan.chunk.actions[:EXECUTE])
        wrong |= info["wrong_object"]
        done = success or truncated
    return Ending(index, bool(success), wrong, decisions, waited, uncertain, mask_ms / decisions)


def copies_of(task: TabletopTask, body: str | None) -> list[str]:
    """Return the bodies that look exactly like another one."""
    assert task.scene is not None
    original = next(p for p in task.scene.placements if p.body == body)
    return [p.body for p in task.scene.placements if _alike(p, original) and p.body != body]


def _alike(one: Placement, other: Placement) -> bool:
    return one.noun == other.noun and one.colour == other.colour


def box_around(
    env: SimulatedEnv, world: TabletopWorld, body: str
) -> tuple[float, float, float, float] | None:
    """Return the box around a body in CAMERA's frame; None where it is hardly seen."""
    mask = env.instance_maps()[CAMERA] == world.bodies[body].body_id
    return Region(CAMERA, mask=mask).bounds if mask.sum() >= SMALLEST_PX else None


def push(world: TabletopWorld, task: TabletopTask, body: str, *, rng: np.random.Generator) -> None:
    """Move a body 5 cm over the table to where it is free to stand, unless the hand has it."""
    assert task.scene is not None
    if world.touches_gripper(body):
        return
    here = world.position(body)
    others = [world.position(p.body)[:2] for p in task.scene.placements if p.body != body]
    (x0, x1), (y0, y1) = WORKSPACE
    angles = rng.permutation(np.linspace(0, 2 * np.pi, 16, endpoint=False))
    for angle in angles:
        x, y = here[:2] + PUSH_M * np.array([np.cos(angle), np.sin(angle)])
        apart = all(np.hypot(x - a, y - b) > 0.085 for a, b in others)
        if x0 <= x <= x1 and y0 <= y <= y1 and apart:
            address = world.bodies[body].qpos_address
            world.mj_data.qpos[address : address + 2] = x, y
            world.forward()
            return


def summary(found: Sequence[Ending]) -> dict[str, object]:
    """Return rates with intervals, and what a decision's masks cost."""
    count = len(found)
    right, wrong = sum(e.right for e in found), sum(e.wrong for e in found)
    return {
        "episodes": count,
        "right": right / count,
        "right_interval95": wilson95(right, count),
        "wrong": wrong / count,
        "wrong_interval95": wilson95(wrong, count),
        "decisions": float(np.mean([e.decisions for e in found])),
        "uncertain": sum(e.uncertain for e in found) / sum(e.decisions for e in found),
        "mask_ms": float(np.median([e.mask_ms for e in found])),
    }


def _print_table(rows: dict[str, dict]) -> None:
    table = Table("trial", "episodes", "right", "95%", "wrong", "uncertain looks", "mask ms")
    for name, row in rows.items():
        low, high = row["right_interval95"]
        table.add_row(
            name,
            str(row["episodes"]),
            f"{row['right']:.3f}",
            f"{low:.3f}-{high:.3f}",
            f"{row['wrong']:.3f}",
            f"{row['uncertain']:.3f}",
            f"{row['mask_ms']:.1f}",
        )
    CONSOLE.print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--trials", default=",".join(TRIALS))
    parser.add_argument("--head", default="tabletop")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
