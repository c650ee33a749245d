"""The trainings that give the arms what they act with: a mask head, judges, a policy each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from robot.checkpoint import file_digest
from robot.envs.tabletop.textures import training_textures
from robot.experiment.arms import Arm
from robot.experiment.config import Common
from robot.experiment.datasets import Datasets, shares_of
from robot.experiment.jobs import Stage, StageId
from robot.system.cache import key
from robot.train.demonstration_discriminator import JudgeTraining, judge
from robot.train.label_discriminator import LabelJudgeTraining, train_label_discriminator
from robot.train.mask_head import HeadTraining, train_mask_head
from robot.train.policy import PolicyTraining, train_policy
from robot.weightings import NEED_SCORES


def stages_of(arms: Sequence[Arm], common: Common, datasets: Datasets) -> list[Stage]:
    """Return the trainings of all arms and seeds, those that others wait for first, then the
    longest.
    """
    found: dict[StageId, Stage] = {}
    for seed in common.seeds:
        head = head_stage(common, datasets, seed=seed)
        verdict = judge_stage(arms, common, datasets, seed=seed)
        for arm in arms:
            policy = policy_stage(arm, common, datasets, seed=seed, head=head, verdict=verdict)
            needed = {*policy.needs.values(), *policy.waits_for}
            found |= {s.id: s for s in (head, verdict) if s is not None and s.id in needed}
            found[policy.id] = policy
    return sorted(found.values(), key=lambda stage: (stage.id.kind == "policy", -stage.steps))


def head_stage(common: Common, datasets: Datasets, *, seed: int) -> Stage | None:
    """Return the training of the mask head; None where one is given or nothing to learn from."""
    if common.head is not None or datasets.frames is None:
        return None
    options = HeadTraining(
        shards=common.data.mask_frames.shards,
        head=common.mask_head,
        training=common.mask_training,
        batch_size=common.mask_batch_size,
        seed=seed,
    )
    return head_training(
        StageId("mask head", seed=_seed(common, seed)),
        options,
        frames=datasets.frames,
        start=common.head_start,
        root=common.data.root,
        wandb_mode=common.wandb,
    )


def head_training(
    identity: StageId,
    options: HeadTraining,
    *,
    frames: Path,
    start: Path | None,
    root: Path,
    wandb_mode: str,
    needs: Mapping[str, StageId] | None = None,
    depends_on: str = "",
) -> Stage:
    """Return the stage that trains a head; its folder is a function of all that it depends on.

    `depends_on` names the folder of what `needs` brings.
    """
    content = {
        "options": options,
        "frames": frames.name,
        "start": None if start is None else file_digest(start),
        "depends_on": depends_on,
    }
    train = partial(train_mask_head, options, frames=frames)
    return Stage(
        identity,
        train if start is None else partial(train, start=start),
        options.training.steps,
        root / "models" / key(identity.kind.replace(" ", "-"), content),
        needs=needs or {},
        wandb_mode=wandb_mode,
    )


def label_judge_training(
    identity: StageId,
    options: LabelJudgeTraining,
    *,
    frames: Path,
    witness: Stage | None,
    root: Path,
    wandb_mode: str,
) -> Stage:
    """Return the stage that trains the discriminator of mask labels, which may see a witness's
    loss.
    """
    assert options.weighting.training is not None
    content = {
        "options": options,
        "frames": frames.name,
        "witness": None if witness is None else witness.directory.name,
    }
    return Stage(
        identity,
        partial(train_label_discriminator, options, frames=frames),
        options.weighting.training.steps,
        root / "models" / key("mask-discriminator", content),
        needs={} if witness is None else {"witness": witness.id},
        wandb_mode=wandb_mode,
    )


def judge_stage(
    arms: Sequence[Arm], common: Common, datasets: Datasets, *, seed: int
) -> Stage | None:
    """Return the training of the discriminators of demonstrations, which all arms that weight by
    scores share; None where no arm does.
    """
    scenes = [arm.scenes for arm in arms if arm.weighting in NEED_SCORES]
    if not scenes:
        return None
    options = JudgeTraining(
        demonstrations=datasets.selections(shares_of(common.data, scenes)),
        judging=common.judge,
        seed=seed,
    )
    return judging_stage(
        StageId("judge", seed=_seed(common, seed)),
        options,
        root=common.data.root,
        wandb_mode=common.wandb,
    )


def judging_stage(
    identity: StageId, options: JudgeTraining, *, root: Path, wandb_mode: str
) -> Stage:
    """Return the stage that judges demonstrations; the scores have the name of its folder."""
    head = options.judging.head if options.judging.masks == "learned" else None
    headless = replace(options, judging=replace(options.judging, head=None))  # it counts by content
    content = {"options": _placeless(headless), "head": None if head is None else file_digest(head)}
    name = key("dwsl", content)
    return Stage(
        identity,
        partial(judge, options, name=name, head=head),
        options.judging.folds * options.judging.training.steps,
        root / "models" / name,
        wandb_mode=wandb_mode,
    )


def policy_stage(
    arm: Arm,
    common: Common,
    datasets: Datasets,
    *,
    seed: int,
    head: Stage | None,
    verdict: Stage | None,
) -> Stage:
    """Return the training of one arm's policy; a learned head is `common.head` or that of the
    stage `head`.
    """
    asked = verdict if arm.weighting in NEED_SCORES else None
    options = PolicyTraining(
        demonstrations=datasets.selections(shares_of(common.data, [arm.scenes])),
        policy=arm.policy,
        masks=arm.perception,
        deployment=arm.deployment,
        augmentation=arm.augment,
        weighting=arm.weighting,
        scores=None if asked is None else asked.directory.name,
        training=replace(common.train, steps=round(common.train.steps * arm.steps)),
        batch_size=common.batch_size,
        look_every=common.look_every,
        seed=seed,
    )
    learned = arm.perception == "learned"
    content: dict[str, Any] = {"options": _placeless(options)}
    train = partial(train_policy, options)
    if learned and common.head is not None:
        train = partial(train, head=common.head)
        content["head"] = file_digest(common.head)
    elif learned and head is not None:
        content["head"] = head.directory.name
    if arm.augment.backgrounds:
        textures = training_textures()
        train = partial(train, textures=textures)
        content["textures"] = [texture.name for texture in textures]
    return Stage(
        policy_id(arm, common, seed=seed),
        train,
        options.training.steps,
        common.data.root / "models" / key(f"{common.task}-{arm.policy.kind}-{arm.name}", content),
        needs={"head": head.id} if learned and head is not None else {},
        waits_for=() if asked is None else (asked.id,),
        wandb_mode=common.wandb,
    )


def policy_id(arm: Arm, common: Common, *, seed: int) -> StageId:
    """Return the identity of the training that made what the arm acts with."""
    return StageId("policy", arm=arm.policy_of, seed=_seed(common, seed))


def head_id(common: Common, *, seed: int) -> StageId:
    return StageId("mask head", seed=_seed(common, seed))


def _seed(common: Common, seed: int) -> int | None:
    return seed if len(common.seeds) > 1 else None


def _placeless(options: PolicyTraining | JudgeTraining) -> PolicyTraining | JudgeTraining:
    """Name stores by their folder, which is a function of their content, not by where they lie."""
    selections = tuple(
        replace(selection, root=Path(selection.root.name)) for selection in options.demonstrations
    )
    return replace(options, demonstrations=selections)
