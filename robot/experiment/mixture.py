"""Trusted and machine demonstrations side by side: collected per scene, judged together, shared out
to the arms.

`data` is the config group of that name; its `quality` is None, and all demonstrations are trusted,
unless data=mixed says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from robot.checkpoint import file_digest
from robot.dwsl import NEED_SCORES, check_weighting
from robot.experiment.collect import collect_demonstrations
from robot.experiment.jobs import Stage
from robot.perception.head.base import Head
from robot.rollout.corrupt import check_mixture
from robot.system.cache import key
from robot.train.demonstration_discriminator import check_judging, judge
from robot.types import InputError

Stores = Mapping[
    str, Sequence[Path]
]  # scene -> its trusted store, and its machine store where there is one
Shares = Mapping[str, Sequence[int]]  # scene -> episodes of each


def check_data(
    data: Mapping[str, Any], *, task: str, weightings: Sequence[str], judging: Mapping[str, Any]
) -> None:
    """Raise InputError for a mixture that cannot be, or a weighting that has nothing to weigh,
    before anything long starts.
    """
    for weighting in weightings:
        check_weighting(weighting)
    if data["quality"] is None:
        if asked := [weighting for weighting in weightings if weighting != "uniform"]:
            raise InputError(
                f"got weighting={asked[0]} where all demonstrations are trusted; add data=mixed, "
                "or leave it out"
            )
        return
    check_mixture(task, mixture_of(data))
    if data["quality"]["seed"] == data["seed"]:
        raise InputError(
            f"got data.quality.seed={data['seed']}, expected another than data.seed: the scenes "
            "would be the same"
        )
    if set(weightings) & set(NEED_SCORES):
        check_judging(
            **{name: judging[name] for name in ("policy", "discriminator", "kind", "folds")}
        )
        if Head.resolve(judging["head"]) is None and judging["masks"] == "learned":
            raise InputError(
                "got judge.masks=learned without a mask head; pass judge.head=tabletop, or "
                "judge.masks=oracle"
            )
        if min(tiers := tiers_of(data)) < judging["folds"]:
            raise InputError(
                f"got {tiers[0]} trusted and {tiers[1]} machine demonstrations for "
                f"judge.folds={judging['folds']}, expected "
                "one of each in every fold; raise data.episodes and data.quality.episodes"
            )


def mixture_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of robot.rollout.corrupt.Mixture."""
    return {
        name: value for name, value in data["quality"].items() if name not in ("episodes", "seed")
    }


def tiers_of(data: Mapping[str, Any]) -> list[int]:
    """Return how many demonstrations of each tier an arm gets: trusted ones, and machine ones where
    there are any.
    """
    return [tier["episodes"] for tier in (data, data["quality"]) if tier]


def episodes_per_arm(data: Mapping[str, Any]) -> int:
    """Return how many demonstrations an arm gets in all."""
    return sum(tiers_of(data))


def shares_of(data: Mapping[str, Any], arms: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Return how many episodes of each tier every scene must have, for arms that train on these
    scenes.
    """
    tiers = tiers_of(data)
    scenes = dict.fromkeys(scene for arm in arms for scene in arm)
    return {
        scene: [max(count // len(arm) for arm in arms if scene in arm) for count in tiers]
        for scene in scenes
    }


def collect_scenes(
    data: Mapping[str, Any],
    *,
    task: str,
    shares: Shares,
    image_size: int,
    root: Path,
    workers: int,
    progress: Progress,
) -> dict[str, list[Path]]:
    """Collect what the stores of every scene lack, one bar per scene."""
    bars = {scene: progress.add_task(f"collect {scene}", total=None, text="") for scene in shares}
    tiers = [{"seed": data["seed"]}]
    if data["quality"]:
        tiers.append({"seed": data["quality"]["seed"], "quality": mixture_of(data)})
    return {
        scene: [
            collect_demonstrations(
                root=root / "demonstrations",
                task=task,
                scene=scene,
                episodes=counts[tier],
                image_size=image_size,
                workers=workers,
                progress=_moving(
                    progress, bars[scene], before=sum(counts[:tier]), total=sum(counts)
                ),
                **options,
            ).root
            for tier, options in enumerate(tiers)
        ]
        for scene, counts in shares.items()
    }


def _moving(progress: Progress, bar: Any, *, before: int, total: int) -> Callable[[int, int], None]:
    return lambda done, of: progress.update(bar, completed=before + done, total=total)


def demonstrations_of(scenes: Sequence[str], *, stores: Stores, shares: Shares) -> dict[str, Any]:
    """Return the keywords `demonstrations` and `episodes` for all tiers of some scenes: trusted
    stores first.
    """
    tiers = range(len(stores[scenes[0]]))
    return {
        "demonstrations": [stores[scene][tier] for tier in tiers for scene in scenes],
        "episodes": [shares[scene][tier] for tier in tiers for scene in scenes],
    }


def arm_demonstrations(
    data: Mapping[str, Any], scenes: Sequence[str], *, stores: Stores
) -> dict[str, Any]:
    """Return the keywords `demonstrations` and `episodes` for an arm that trains on some scenes,
    evenly.
    """
    if data["quality"] is None:
        return {
            "demonstrations": [stores[scene][0] for scene in scenes],
            "episodes": data["episodes"],
        }
    return demonstrations_of(scenes, stores=stores, shares=shares_of(data, [scenes]))


def judge_stage(
    judging: Mapping[str, Any],
    *,
    stores: Stores,
    shares: Shares,
    root: Path,
    seed: int,
    wandb: str,
    suffix: str = "",
) -> tuple[Stage, str]:
    """Return the training of the discriminators on all stores, and the name under which it leaves
    its scores there.

    `suffix` sets the stage of one training seed apart from those of others.
    """
    options = {
        name: value for name, value in judging.items() if name not in ("image_size", "horizon")
    }
    head = Head.resolve(judging["head"])
    options |= {
        "head": head,
        "seed": seed,
        **demonstrations_of(list(shares), stores=stores, shares=shares),
    }
    name = key("dwsl", options | {"head": None if head is None else file_digest(head)})
    steps = judging["folds"] * judging["training"]["steps"]
    return Stage(
        f"judge{suffix}", judge, steps, root / "models" / name, options | {"name": name}, wandb
    ), name


def weights_of(
    weighting: str,
    judging: Mapping[str, Any],
    *,
    stores: Stores,
    shares: Shares,
    root: Path,
    seed: int,
    wandb: str,
    suffix: str = "",
) -> tuple[list[Stage], dict[str, str]]:
    """Return what must judge the demonstrations first, and what `train_policy` must be told of it:
    nothing for uniform.
    """
    if weighting == "uniform":
        return [], {}
    if weighting not in NEED_SCORES:
        return [], {"weighting": weighting}
    stage, scores = judge_stage(
        judging, stores=stores, shares=shares, root=root, seed=seed, wandb=wandb, suffix=suffix
    )
    return [stage], {"weighting": weighting, "scores": scores}
