"""Goals that tell their object from others by place or size: is the right thing masked?

    python benchmarks/related_goals.py [--looks 100] [--heads tabletop,runs/.../mask-head]

First looks of held-out scenes of `pick_related` (evaluation seed 1000 of env=mujoco), clean and
distract, and 60 sentences written by hand (benchmarks/sentences_related.yaml), each in scenes
drawn for it. `solved` reads the goal, asks the shipped head for every object by name and solves the
relation on the masks; `asked` hands the sentence to a head as it is. `iou` is the mean over all
frames that show the target; `right` the share of looks whose mask in agentview is that of the
target (IoU above one half). 95% intervals: Wilson, or 1.96 standard errors over looks. The last
line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.timing import describe_machine
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.placing import Composer
from robot.envs.tabletop.related import compose
from robot.envs.tabletop.scene import sample_scene
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.perception.head.base import Head
from robot.perception.sources import LearnedMasks
from robot.report.statistics import Z95, wilson95
from robot.system.command import main_guard, run_directory, write_results
from robot.types import Frame, Goal, Label
from robot.words.items import Thing
from robot.words.reader import GoalReader
from robot.words.related import GRIPPER, Related, kind_of
from robot.words.related_phrases import read_related

SEED = 1000
SCENES = ("clean", "distract")
SENTENCES = Path(__file__).with_name("sentences_related.yaml")
DRAWN = 3  # scenes for every sentence
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, eq=False)
class Look:
    """What the cameras show at the beginning of an episode, and where the object meant is."""

    text: str
    kind: str
    frames: tuple[Frame, ...]
    targets: tuple[np.ndarray, ...]  # bool, per frame


def scene_looks(env: SimulatedEnv, scene: str, count: int) -> Iterator[Look]:
    """Yield first looks of episodes."""
    for k in range(count):
        env.reset(seed=SEED, options={"episode": k, "scene": scene})
        read = read_related(env.goal)
        assert read is not None
        yield _look(env, env.goal, kind_of(read.related))


def sentence_looks(env: SimulatedEnv) -> Iterator[Look]:
    """Yield looks at scenes in which hand-written sentences have one meaning."""
    for k, row in enumerate(yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))):
        related = related_of(row)
        for drawn in range(DRAWN):
            rng, composer = np.random.default_rng([SEED, k, drawn]), Composer()
            target = compose(composer, related, rng=rng)
            if target is None:
                continue
            env.reset(seed=SEED, options={"episode": DRAWN * k + drawn, "scene": "clean"})
            task, world = env.task, env.sim
            assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld)
            base = sample_scene(task="pick_related", scene="clean", seed=SEED, index=k)
            task.scene = replace(base, target=target, placements=tuple(composer.placements))
            world.apply(task.scene)
            yield _look(env, row["text"], kind_of(related))


def related_of(row: dict) -> Related:
    """Return what a hand-written sentence means, as its file states it."""
    anchor = row.get("anchor")
    if anchor == "gripper":
        thing = GRIPPER
    else:
        thing = None if anchor is None else Thing(noun=anchor.split()[1], colour=anchor.split()[0])
    return Related(row["relation"], Thing(noun=row.get("target")), thing, row.get("rank", 1))


def _look(env: SimulatedEnv, text: str, kind: str) -> Look:
    images = env.observe()["images"]
    maps = env.label_maps_for([env.task.roles(env.sim)])[0]
    return Look(
        text=text,
        kind=kind,
        frames=tuple(Frame(camera, images[camera]) for camera in env.cameras),
        targets=tuple(maps[camera] == Label.TARGET for camera in env.cameras),
    )


@dataclass(frozen=True)
class Score:
    """How a source does on some looks."""

    looks: int
    iou: float
    iou_pm: float
    right: float
    right95: tuple[float, float]
    p50_ms: float


def score(make: Callable[[], LearnedMasks], looks: Sequence[Look]) -> dict[str, Score]:
    """Return the score of all looks, and of every kind of relation; every look is another episode,
    of which a new source knows nothing.
    """
    ious: dict[str, list[float]] = defaultdict(list)
    rights: dict[str, list[bool]] = defaultdict(list)
    times = []
    for look in looks:
        source, began = make(), perf_counter()
        mask = source(look.frames, Goal(look.text))
        times.append(1e3 * (perf_counter() - began))
        of = [
            _iou(p[0] > 0.5, t)
            for p, t in zip(mask.probability, look.targets, strict=True)
            if t.sum() >= 6
        ]
        for kind in ("all", look.kind):
            ious[kind].append(float(np.mean(of)))
            rights[kind].append(_iou(mask.probability[0][0] > 0.5, look.targets[0]) > 0.5)
    return {
        kind: Score(
            looks=len(values),
            iou=float(np.mean(values)),
            iou_pm=float(Z95 * np.std(values) / len(values) ** 0.5),
            right=float(np.mean(rights[kind])),
            right95=wilson95(sum(rights[kind]), len(values)),
            p50_ms=float(np.median(times)),
        )
        for kind, values in ious.items()
    }


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    union = (mask | truth).sum()
    return float((mask & truth).sum() / union) if union else 0.0


@main_guard
def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--looks", type=int, default=100, help="of every scene")
    parser.add_argument("--heads", default="tabletop", help="asked with the sentence as it is")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    env = make_env("pick_related", EnvOptions(backend="mujoco"))
    sets = {scene: list(scene_looks(env, scene, asked.looks)) for scene in SCENES}
    sets["by hand"] = list(sentence_looks(env))
    shipped = Head.load("tabletop")
    words = shipped.word_encoder()
    reader = GoalReader.of(shipped.vocabulary)
    sources = {"solved": partial(LearnedMasks, shipped, words, reader=reader)}
    for name in filter(None, asked.heads.split(",")):
        sources[f"asked {name}"] = partial(LearnedMasks, Head.load(name), words)
    results = {
        f"{name} / {where}": score(source, looks)
        for name, source in sources.items()
        for where, looks in sets.items()
    }
    table = Table("source / looks", "kind", "looks", "target IoU", "right", "ms")
    for name, scores in results.items():
        for kind, s in scores.items():
            low, high = s.right95
            right = f"{s.right:.0%} ({low:.0%}–{high:.0%})"
            row = (name, kind, str(s.looks), f"{s.iou:.3f} ± {s.iou_pm:.3f}", right)
            table.add_row(*row, f"{s.p50_ms:.0f}")
    CONSOLE.print(table)
    machine = describe_machine(load_before=load)
    write_results(run_directory("related-goals"), {"machine": machine, "scores": results})


if __name__ == "__main__":
    main()
