"""What the arms of a comparison learn from: demonstrations per scene and tier, and mask frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from robot.data.mask_shards import shard_numbers
from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.make import DEFAULT_BACKEND, Backend
from robot.experiment.arms import Arm
from robot.experiment.collect import collect_demonstrations, collect_mask_frames
from robot.experiment.config import Common, Data
from robot.experiment.options import measures_masks as measures_masks
from robot.experiment.options import needs_frames
from robot.system.progress import Bars, moving
from robot.train.demonstrations import Selection

Shares = Mapping[str, Sequence[int]]  # scene -> episodes of each tier


@dataclass(frozen=True)
class Lot:
    """What an arm learns from: `episodes` times the common number, evenly from every scene."""

    scenes: Sequence[str]
    episodes: float = 1.0

    def each(self, count: int) -> int:
        """Return how many episodes of every scene, where `count` is the common number."""
        return int(count * self.episodes) // len(self.scenes)


def lots_of(arms: Sequence[Arm]) -> list[Lot]:
    """Return what each arm learns from."""
    return [Lot(arm.scenes, arm.episodes) for arm in arms]


@dataclass(frozen=True)
class Datasets:
    """`stores` are those of a scene by tier, trusted first; `frames` are mask frames."""

    stores: Mapping[str, Sequence[Path]]
    frames: Path | None

    def selections(self, shares: Shares) -> tuple[Selection, ...]:
        """Select demonstrations: the trusted of all scenes, then the machine ones."""
        tiers = max(len(counts) for counts in shares.values())
        return tuple(
            Selection(self.stores[scene][tier], counts[tier])
            for tier in range(tiers)
            for scene, counts in shares.items()
        )


def shares_of(data: Data, lots: Sequence[Lot]) -> dict[str, list[int]]:
    """Return how many episodes of each tier every scene must have for arms that learn from these
    lots.
    """
    scenes = dict.fromkeys(scene for lot in lots for scene in lot.scenes)
    return {
        scene: [max(lot.each(count) for lot in lots if scene in lot.scenes) for count in data.tiers]
        for scene in scenes
    }


def collect(arms: Sequence[Arm], common: Common) -> Datasets:
    """Collect what is missing and return where all of it lies."""
    with Bars() as progress:
        stores = collect_scenes(
            common.data,
            robot=common.env.robot,
            backend=common.env.backend,
            task=common.task,
            shares=shares_of(common.data, lots_of(arms)),
            image_size=common.env.image_size,
            workers=common.workers,
            progress=progress,
        )
        if not needs_frames(arms, common):
            return Datasets(stores, None)
        frames = collect_mask_frames(
            common.data.mask_frames,
            root=common.data.root / "mask_frames",
            shards=shard_numbers(common.data.mask_frames.shards),
            robot=common.env.robot,
            backend=common.env.backend,
            image_size=common.env.image_size,
            workers=common.workers,
            progress=moving(progress, "collect mask frames"),
        )
    return Datasets(stores, frames.root)


def collect_scenes(
    data: Data,
    *,
    task: str,
    shares: Shares,
    image_size: int,
    workers: int,
    progress: Progress,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> dict[str, list[Path]]:
    """Collect the demonstrations that the stores of every scene lack, one bar per scene and
    tier.
    """
    tiers: list[dict[str, Any]] = [{"seed": data.seed}]
    if data.quality is not None:
        tiers.append({"seed": data.quality.seed, "quality": data.quality.mixture})
    return {
        scene: [
            collect_demonstrations(
                root=data.root / "demonstrations",
                robot=robot,
                backend=backend,
                task=task,
                scene=scene,
                episodes=count,
                image_size=image_size,
                workers=workers,
                progress=moving(progress, f"collect {scene}{tier}"),
                **options,
            ).root
            for count, options, tier in zip(counts, tiers, ("", " (machine)"), strict=False)
        ]
        for scene, counts in shares.items()
    }
