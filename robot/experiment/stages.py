"""The trainings that give the arms what they act with: a mask head, scores, a policy each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from robot.data.record_frames import record_files
from robot.envs.arm_spaces import CAMERAS
from robot.envs.textures import training_textures
from robot.experiment.arms import Arm
from robot.experiment.config import Common
from robot.experiment.datasets import Datasets, lots_of, shares_of
from robot.experiment.eyes import eyes_of
from robot.experiment.jobs import Stage, StageId, make_stage
from robot.policy.registry import encoder_of
from robot.train.demonstration_discriminator import DemonstrationScoring, score_demonstrations
from robot.train.grounding import EncoderTraining, train_encoder
from robot.train.label_discriminator import LabelDiscriminatorTraining, train_label_discriminator
from robot.train.mask_head import HeadTraining, train_mask_head
from robot.train.own_head import SHARDS, train_own_head
from robot.train.policy import PolicyTraining, train_policy
from robot.weightings import NEED_SCORES


class Before(NamedTuple):
    """The trainings whose results an arm's policy may take."""

    head: Stage | None
    encoder: Stage | None
    scoring: Stage | None


def stages_of(arms: Sequence[Arm], common: Common, datasets: Datasets) -> list[Stage]:
    """Return the trainings of all arms and seeds, those that others wait for first, then the
    longest.
    """
    found: dict[StageId, Stage] = {}
    for seed in common.seeds:
        head = head_stage(common, datasets, seed=seed)
        scoring = scoring_stage(arms, common, datasets, seed=seed)
        for arm in arms:
            before = Before(
                head=own_head_stage(arm, common, datasets, seed=seed) or head,
                encoder=encoder_stage(arm, common, datasets, seed=seed),
                scoring=scoring,
            )
            policy = policy_stage(arm, common, datasets, seed=seed, before=before)
            needed = {*policy.needs.values(), *policy.waits_for}
            found |= {s.id: s for s in before if s is not None and s.id in needed}
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
        records=record_files(common.data.records),
        hue_share=common.mask_hue_share,
    )
    return head_training(
        head_id(common, seed=seed),
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
    start: Path | Stage | None,
    discriminator: Stage | None = None,
    root: Path,
    wandb_mode: str,
) -> Stage:
    """Return the stage that trains a head, which may start from another stage's."""
    return make_stage(
        identity,
        train_mask_head,
        options,
        frames=frames,
        start=start,
        discriminator=discriminator,
        name=identity.kind.replace(" ", "-"),
        steps=options.training.steps,
        root=root,
        wandb_mode=wandb_mode,
    )


def label_discriminator_training(
    identity: StageId,
    options: LabelDiscriminatorTraining,
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
    return make_stage(
        identity,
        train_label_discriminator,
        options,
        frames=frames,
        witness=witness,
        name="mask-discriminator",
        steps=options.weighting.training.steps,
        root=root,
        wandb_mode=wandb_mode,
    )


def own_head_stage(arm: Arm, common: Common, datasets: Datasets, *, seed: int) -> Stage | None:
    """Return the training of a mask head that one arm has for itself, on the labels beside its own
    demonstrations; None where it has none.
    """
    if arm.own_head is None:
        return None
    options = HeadTraining(
        shards=SHARDS,
        head=common.mask_head,
        training=arm.own_head,
        batch_size=common.mask_batch_size,
        seed=seed,
    )
    return make_stage(
        head_id(common, seed=seed, arm=arm),
        train_own_head,
        options,
        demonstrations=datasets.selections(shares_of(common.data, lots_of([arm]))),
        name="own-head",
        steps=options.training.steps,
        root=common.data.root,
        wandb_mode=common.wandb,
    )


def encoder_stage(arm: Arm, common: Common, datasets: Datasets, *, seed: int) -> Stage | None:
    """Return the training that tells the encoder of an arm's policy where a goal's objects are, on
    the mask frames that a mask head learns from; None where its grounding has none.
    """
    if arm.grounding is None or not arm.grounding.frame_steps:
        return None
    assert datasets.frames is not None
    steps = arm.grounding.frame_steps
    options = EncoderTraining(
        shards=common.data.mask_frames.shards,
        encoder=encoder_of(arm.policy.options, cameras=len(CAMERAS)),
        training=replace(common.train, steps=steps),
        batch_size=common.batch_size,
        seed=seed,
    )
    return make_stage(
        StageId("encoder", arm=arm.policy_of, seed=_seed(common, seed)),
        train_encoder,
        options,
        frames=datasets.frames,
        name="grounded-encoder",
        steps=steps,
        root=common.data.root,
        wandb_mode=common.wandb,
    )


def scoring_stage(
    arms: Sequence[Arm], common: Common, datasets: Datasets, *, seed: int
) -> Stage | None:
    """Return the training of the discriminators of demonstrations, which all arms that weight by
    scores share; None where no arm does.
    """
    scored = [arm for arm in arms if arm.weighting in NEED_SCORES]
    if not scored:
        return None
    options = DemonstrationScoring(
        demonstrations=datasets.selections(shares_of(common.data, lots_of(scored))),
        scoring=common.scoring,
        seed=seed,
    )
    return demonstration_scoring(
        StageId("demonstration discriminator", seed=_seed(common, seed)),
        options,
        root=common.data.root,
        wandb_mode=common.wandb,
    )


def demonstration_scoring(
    identity: StageId, options: DemonstrationScoring, *, root: Path, wandb_mode: str
) -> Stage:
    """Return the stage that scores demonstrations; the scores have the name of its folder."""
    scoring = options.scoring
    if scoring.masks != "learned":  # a head that nothing looks through must not count
        scoring = replace(scoring, head=None)
    return make_stage(
        identity,
        score_demonstrations,
        replace(options, scoring=scoring),
        name="dwsl",
        steps=scoring.folds * scoring.training.steps,
        root=root,
        wandb_mode=wandb_mode,
    )


def policy_stage(
    arm: Arm,
    common: Common,
    datasets: Datasets,
    *,
    seed: int,
    before: Before,
) -> Stage:
    """Return the training of one arm's policy, which takes what it needs of those before it; a
    learned head is `common.head`, unless the arm has its own.
    """
    asked = before.scoring if arm.weighting in NEED_SCORES else None
    options = PolicyTraining(
        demonstrations=datasets.selections(shares_of(common.data, lots_of([arm]))),
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
        grounding=arm.grounding.weight if arm.grounding else 0.0,
        relocate=arm.relocate,
    )
    return make_stage(
        policy_id(arm, common, seed=seed),
        train_policy,
        options,
        head=learned_head(arm, common, before.head),
        encoder=before.encoder,
        textures=training_textures() if arm.augment.backgrounds else (),
        eyes=eyes_of(common.env, task=common.task) if arm.relocate else (),
        name=f"{common.task}-{arm.policy.kind}-{arm.name}",
        steps=options.training.steps,
        root=common.data.root,
        waits_for=() if asked is None else (asked.id,),
        wandb_mode=common.wandb,
    )


def learned_head(arm: Arm, common: Common, stage: Stage | None) -> Path | Stage | None:
    """Return the mask head that an arm sees through: the given one where it has none of its own, or
    that of a stage; None where it sees through none.
    """
    given = common.head if arm.shares_head else None
    return (given or stage) if arm.perception == "learned" else None


def policy_id(arm: Arm, common: Common, *, seed: int) -> StageId:
    """Return the identity of the training that made what the arm acts with."""
    return StageId("policy", arm=arm.policy_of, seed=_seed(common, seed))


def head_id(common: Common, *, seed: int, arm: Arm | None = None) -> StageId:
    """Return the identity of the training that made a mask head: that of `arm`, or the one that
    arms share.
    """
    own = arm.policy_of if arm is not None and arm.own_head else None
    return StageId("mask head", arm=own, seed=_seed(common, seed))


def _seed(common: Common, seed: int) -> int | None:
    return seed if len(common.seeds) > 1 else None
