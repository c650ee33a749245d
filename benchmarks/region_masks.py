"""Masks of regions along episodes that the simulator's truth steers: do they lie on the right one
of identical things, in every camera?

    python benchmarks/region_masks.py [--episodes 40] [--trials duplicates,place_duplicates]
        [--head tabletop]

Episodes and boxes are those of `benchmarks/region_goals.py`; the policy acts on true masks, so that
every source sees the same frames. Each is asked twice: with frames that say where their cameras
stand, and without. `wrong` is the share of masks most of which lies on another object, `missed` of
the things of 30 px or more those whose mask is off them (IoU below .1), `iou` their mean; by
camera and role. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.region_goals import EXECUTE, POLICIES, SEED, TRIALS, Trial, begin
from robot.agent import Agent
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.goals import read_goal
from robot.perception.sources import NoMask, OracleMasks
from robot.report.statistics import wilson95
from robot.system.command import main_guard, run_directory, write_results
from robot.types import Frame, Goal, Mask, Observation
from robot.words.reader import GoalReader

SHOWN_PX, LARGE_PX, OFF_IOU = 6, 30, 0.1
CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Looked:
    """One decision: what was seen, and the body at every pixel of every camera."""

    frames: tuple[Frame, ...]
    bodies: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Recording:
    """The looks of one episode, and which bodies its roles are; `free` are all that can move."""

    goal: Goal
    roles: tuple[int, ...]
    free: frozenset[int]
    looks: tuple[Looked, ...]


class TrueMasks(OracleMasks):
    """The truth, with the sentence that a region goal stands for."""

    def __call__(self, frames: Sequence[Frame], goal: Goal) -> Mask:
        sentence = read_goal(goal, READER).sentences[0]
        return replace(super().__call__(frames, goal), sentence=sentence)


READER = GoalReader.of("tabletop")


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(1)
    env = make_env("pick", EnvOptions(backend="mujoco"))
    assert isinstance(env, SimulatedEnv)
    rows: dict[str, dict] = {}
    for name in options.trials.split(","):
        recordings = list(record(env, TRIALS[name], count=options.episodes))
        for located in (False, True):
            key = f"{name}, {'with' if located else 'without'} viewpoints"
            rows |= {f"{key}, {k}": v for k, v in measured(recordings, options.head, located)}
    table = Table("masks", "looks", "wrong", "95%", "missed", "IoU", "ms")
    for name, row in rows.items():
        low, high = row["wrong_interval95"]
        wrong = f"{row['wrong']:.3f}", f"{low:.3f}-{high:.3f}"
        rest = f"{row['missed']:.3f}", f"{row['iou']:.3f}", f"{row['ms']:.1f}"
        table.add_row(name, str(row["looks"]), *wrong, *rest)
    CONSOLE.print(table)
    write_results(run_directory("region_masks"), {"masks": rows})


def record(env: SimulatedEnv, trial: Trial, *, count: int) -> Iterator[Recording]:
    """Yield episodes that true masks steer."""
    agent = Agent.load(POLICIES[trial.task], device="cpu", head="tabletop", verify=False)
    agent.masks = TrueMasks(env.label_maps)
    env.switch_task(trial.task)
    index = done = 0
    while done < count:
        begun = begin(env, trial, index=index)
        index += 1
        if begun is None:
            continue
        done += 1
        raw, goal, bodies = begun
        free = frozenset(env.model.body(name).id for name in env.object_states())
        roles = tuple(env.model.body(name).id for name in bodies)
        agent.reset(rng=np.random.default_rng(index))
        generator = torch.Generator().manual_seed(SEED * 100_003 + index)
        looks, ended = [], False
        while not ended:
            seen = Observation.from_env(raw, env.spaces)
            looks.append(Looked(seen.frames, tuple(env.instance_maps().values())))
            plan = agent.plan(seen, generator=generator)
            raw, _, success, truncated, _ = env.execute(plan.chunk.actions[:EXECUTE])
            ended = success or truncated
        yield Recording(goal, roles, free, tuple(looks))


def measured(
    recordings: Sequence[Recording], head: str, located: bool
) -> Iterator[tuple[str, dict]]:
    """Yield (camera and role, figures) of a source's masks along recorded episodes."""
    source = RegionMasks(NoMask(), head, reader=READER)
    assert source.head is not None  # loaded now, not within a timing
    found: dict[str, list[tuple[bool, bool, float, bool]]] = {}
    times = []
    for recording in recordings:
        source.reseed(np.random.default_rng(0))
        for look in recording.looks:
            frames = [f if located else replace(f, viewpoint=None) for f in look.frames]
            began = perf_counter()
            mask = source(frames, recording.goal)
            times.append(1e3 * (perf_counter() - began))
            for k, frame in enumerate(frames):
                for role, body in enumerate(recording.roles):
                    covered = mask.probability[k][role] > 0.5
                    row = found.setdefault(f"{frame.camera} {('target', 'place')[role]}", [])
                    row.append(compared(covered, look.bodies[k], body=body, free=recording.free))
    for name, looks in found.items():
        wrong, shown, iou, large = (np.array(column) for column in zip(*looks, strict=True))
        yield (
            name,
            {
                "looks": int(shown.sum()),
                "wrong": float(wrong.sum() / max(shown.sum(), 1)),
                "wrong_interval95": wilson95(int(wrong.sum()), int(shown.sum())),
                "missed": float((iou[large] < OFF_IOU).mean()),
                "iou": float(iou[large].mean()),
                "ms": float(np.median(times)),
            },
        )


def compared(
    covered: np.ndarray, bodies: np.ndarray, *, body: int, free: frozenset[int]
) -> tuple[bool, bool, float, bool]:
    """Return whether a mask lies on another object, whether it shows anything, its IoU, and whether
    the thing is large.
    """
    truth = bodies == body
    ids, counts = np.unique(bodies[covered], return_counts=True)
    on = {int(k): int(n) for k, n in zip(ids, counts, strict=True)}
    others = [n for k, n in on.items() if k in free and k != body]
    union = (covered | truth).sum()
    return (
        covered.sum() >= SHOWN_PX and max(others, default=0) > on.get(body, 0),
        bool(covered.sum() >= SHOWN_PX),
        float((covered & truth).sum() / union) if union else 1.0,
        bool(truth.sum() >= LARGE_PX),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--trials", default="duplicates,place_duplicates")
    parser.add_argument("--head", default="tabletop")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
