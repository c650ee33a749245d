"""What launch/collect.py does: demonstrations by the experts, into a store that is found again."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions
from robot.experiment.collect import check_collection, check_recorded, collect_demonstrations
from robot.rollout.corrupt import Mixture
from robot.system.command import run_folder, write_results
from robot.system.parse import Count, Seed, options, parse
from robot.system.progress import bar


@options
class Collection:
    """configs/collect.yaml: `episodes` of a task in a scene, by its expert or, with `quality`, as a
    machine would leave them.
    """

    env: EnvOptions
    root: Path
    task: str
    scene: str
    episodes: Count
    seed: Seed
    workers: Count
    quality: Mixture | None


def collection(config: DictConfig) -> Work:
    """Return the collection that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Collection, values)
    require_gl()
    check_recorded(asked.env)
    check_collection(
        task=asked.task,
        scene=asked.scene,
        robot=asked.env.robot,
        backend=asked.env.backend,
        quality=asked.quality,
    )
    return partial(collect, asked, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def collect(asked: Collection, *, config_yaml: str) -> None:
    """Collect; results.json is the last line on stdout."""
    with run_folder("collect", config_yaml=config_yaml) as run:
        with bar(f"collect {asked.task} / {asked.scene}") as progress:
            store = collect_demonstrations(
                root=asked.root / "demonstrations",
                task=asked.task,
                robot=asked.env.robot,
                backend=asked.env.backend,
                scene=asked.scene,
                episodes=asked.episodes,
                seed=asked.seed,
                image_size=asked.env.image_size,
                workers=asked.workers,
                quality=asked.quality,
                progress=progress,
            )
        steps = sum(store.summary(index).length for index in store.indices())
        results = {"store": store.root, "episodes": len(store), "steps": steps}
        write_results(run, asdict(asked) | results)
