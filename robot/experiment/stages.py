"""The stages that give the arms of a comparison what they act with: demonstrations, a mask head, a
policy each.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.checkpoint import file_digest, read_header
from robot.data.mask_shards import shard_numbers
from robot.dwsl import NEED_SCORES
from robot.experiment.collect import collect_mask_frames
from robot.experiment.jobs import Chain, Stage
from robot.experiment.mixture import (
    Stores,
    arm_demonstrations,
    collect_scenes,
    shares_of,
    weights_of,
)
from robot.experiment.recipe import Recipe, Shared, policy_options
from robot.policy import UNSAID
from robot.rollout.agents import robosuite_action_space
from robot.system.cache import key
from robot.system.progress import Bars
from robot.train.mask_head import head_identity, train_mask_head
from robot.train.policy import train_policy

HEAD = "mask head"  # name of the stage


def needs_frames(recipes: Sequence[Recipe], *, head: Path | None = None) -> bool:
    """Say whether mask frames are needed: to train a head, unless there is one."""
    return head is None and any(recipe.perception == "learned" for recipe in recipes)


def collect(
    recipes: Sequence[Recipe], *, shared: Shared, frames_needed: bool
) -> tuple[Stores, Path | None]:
    """Return the demonstrations of every training scene, and the mask frames where they
    are needed.
    """
    shares = shares_of(shared.data, [recipe.scenes for recipe in recipes])
    how: Any = {
        "robot": shared.robot,
        "image_size": shared.image_size,
        "workers": shared.workers,
    }
    with Bars() as progress:
        stores = collect_scenes(
            shared.data, task=shared.task, shares=shares, root=shared.root, progress=progress, **how
        )
        if not frames_needed:
            return stores, None
        masks = progress.add_task("collect mask frames", total=None, text="")
        frames = collect_mask_frames(
            root=shared.root / "mask_frames",
            progress=lambda done, of: progress.update(masks, completed=done, total=of),
            **how,
            **{**shared.mask_frames, "shards": shard_numbers(shared.mask_frames["shards"])},
        )
    return stores, frames.root


def rounds_of(
    recipes: Sequence[Recipe],
    *,
    shared: Shared,
    seed: int,
    stores: Stores,
    frames: Path | None,
    head: Path | None = None,
    suffix: str = "",
) -> tuple[list[Chain], list[Chain]]:
    """Return what must judge the demonstrations first, where a weighting asks for it, and the
    trainings (`chains_of`).
    """
    shares = shares_of(
        shared.data, [recipe.scenes for recipe in recipes if recipe.weighting in NEED_SCORES]
    )
    how: Any = {
        "stores": stores,
        "root": shared.root,
        "seed": seed,
        "wandb": shared.wandb,
        "suffix": suffix,
    }
    judges: dict[Path, Chain] = {}  # by folder: all that ask share one verdict
    weights = {}
    for weighting in dict.fromkeys(recipe.weighting for recipe in recipes):
        stages, weights[weighting] = weights_of(weighting, shared.judging, shares=shares, **how)
        judges |= {stage.directory: Chain([stage]) for stage in stages}
    how = {
        "shared": shared,
        "seed": seed,
        "stores": stores,
        "frames": frames,
        "head": head,
        "suffix": suffix,
    }
    return list(judges.values()), chains_of(recipes, weights=weights, **how)


def chains_of(
    recipes: Sequence[Recipe],
    *,
    shared: Shared,
    seed: int,
    stores: Stores,
    frames: Path | None,
    head: Path | None = None,
    weights: Mapping[str, Mapping[str, str]] | None = None,
    suffix: str = "",
) -> list[Chain]:
    """Return the trainings: those that see through the learned head after it, one after the other,
    all others on their own.

    With `head`, a checkpoint, no head is trained. `weights` is what policies of each weighting are
    told of it. `suffix` sets the stages of one seed apart from those of others.
    """
    learned = any(recipe.perception == "learned" for recipe in recipes)
    first = (
        head_stage(shared, frames=frames, seed=seed, suffix=suffix)
        if learned and head is None
        else None
    )
    how: Any = {"shared": shared, "seed": seed, "stores": stores, "suffix": suffix}
    chains, behind_head = [], []
    for recipe in recipes:
        stage = policy_stage(
            recipe, head=first or head, weights=(weights or {}).get(recipe.weighting), **how
        )
        if first is not None and recipe.perception == "learned":
            behind_head.append(stage)
        else:
            chains.append(Chain([stage]))
    if first is not None:
        chains.insert(
            0,
            Chain(
                [first, *behind_head], {stage.name: {"head": first.name} for stage in behind_head}
            ),
        )
    return chains


def policy_stage(
    recipe: Recipe,
    *,
    shared: Shared,
    seed: int,
    stores: Stores,
    head: Stage | Path | None,
    weights: Mapping[str, str] | None = None,
    suffix: str = "",
) -> Stage:
    """Return the training of one arm's policy; `head` is the stage that trains its mask head, or a
    checkpoint.
    """
    policy = policy_options(recipe, shared=shared)
    training = dict(shared.training) | {"steps": round(shared.training["steps"] * recipe.steps)}
    options = {
        **arm_demonstrations(shared.data, recipe.scenes, stores=stores),
        "kind": shared.kind,
        "policy": policy,
        "masks": recipe.perception,
        "head": None,
        "deployment": dict(recipe.deployment),
        "augment": recipe.augment,
        "training": training,
        "batch_size": shared.batch_size,
        "seed": seed,
        "action_space": robosuite_action_space(control_dt_s=shared.control_dt_s),
        **(weights or {}),
    }
    said = {
        name: value for name, value in policy.items() if UNSAID.get(name) != value
    }  # so that older folders are found
    identity = options | {"policy": said}
    head = head if recipe.perception == "learned" else None
    if isinstance(head, Stage):
        identity |= {"head_options": head_identity(head.options)}
    elif head is not None:
        identity |= {"head_sha256": file_digest(head)}
        options["head"] = head
    directory = shared.root / "models" / key(f"{shared.task}-{shared.kind}-{recipe.name}", identity)
    return Stage(
        f"policy {recipe.name}{suffix}",
        train_policy,
        training["steps"],
        directory,
        options,
        shared.wandb,
    )


def head_stage(shared: Shared, *, frames: Path | None, seed: int, suffix: str = "") -> Stage:
    """Return the training of the mask head."""
    options = {
        "frames": frames,
        "shards": shared.mask_frames["shards"],
        "head": shared.mask_head,
        "training": shared.mask_training,
        "batch_size": shared.mask_batch_size,
        "seed": seed,
    } | ({} if shared.head_start is None else {"start": shared.head_start})
    directory = shared.root / "models" / key("mask-head", head_identity(options))
    return Stage(
        f"{HEAD}{suffix}",
        train_mask_head,
        shared.mask_training["steps"],
        directory,
        options,
        shared.wandb,
    )


def publish(checkpoints: Mapping[str, Path], *, run: Path) -> dict[str, Path]:
    """Copy the checkpoints into the run: `<run>/<arm>/` holds the policy, and its mask head where
    it has one.
    """
    published = {}
    for name, file in checkpoints.items():
        if not name.startswith("policy "):
            continue
        folder = run / name.removeprefix("policy ")
        folder.mkdir()
        for suffix in (".safetensors", ".json"):
            shutil.copy2(file.with_suffix(suffix), folder / f"model{suffix}")
        published[name.removeprefix("policy ")] = folder
    for folder in published.values():
        if read_header(folder)["metadata"]["masks"] == "learned":
            for suffix in (".safetensors", ".json"):
                shutil.copy2(checkpoints[HEAD].with_suffix(suffix), folder / f"mask_head{suffix}")
    return published
