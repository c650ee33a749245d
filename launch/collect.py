"""`python launch/collect.py task=pick scene=clean episodes=300`: demonstrations by the experts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from launch.command_line import hydra_command
from robot.experiment.collect import collect_demonstrations
from robot.rollout.corrupt import Mixture
from robot.system.command import run_directory, write_results
from robot.system.parse import Count, NotNegative, options, parse
from robot.system.progress import bar


@options
class Collection:
    """configs/collect.yaml: `episodes` of a task in a scene, by its expert or, with `quality`, as a
    machine would leave them.
    """

    root: Path
    task: str
    robot: str
    scene: str
    episodes: Count
    seed: NotNegative
    image_size: Count
    workers: Count
    quality: Mixture | None


@hydra_command("collect")
def main(config: DictConfig) -> None:
    collection = parse(Collection, OmegaConf.to_container(config, resolve=True))
    with bar(f"collect {collection.task} / {collection.scene}") as progress:
        store = collect_demonstrations(
            root=collection.root / "demonstrations",
            task=collection.task,
            robot=collection.robot,
            scene=collection.scene,
            episodes=collection.episodes,
            seed=collection.seed,
            image_size=collection.image_size,
            workers=collection.workers,
            quality=collection.quality,
            progress=progress,
        )
    steps = sum(store.summary(index).length for index in store.indices())
    results = {"store": store.root, "episodes": len(store), "steps": steps}
    write_results(run_directory("collect"), asdict(collection) | results)


if __name__ == "__main__":
    main()
