"""The trainings of a comparison: who waits for whom, and which folders they are found in again."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from robot.experiment.config import Common
from robot.experiment.datasets import Datasets
from robot.experiment.jobs import Stage, StageId, make_stage
from robot.experiment.stages import (
    head_stage,
    head_training,
    label_discriminator_training,
    policy_id,
    scoring_stage,
    stages_of,
)
from robot.perception.compose.masking import Blur
from robot.system.parse import Spec
from robot.train.demonstrations import Selection
from robot.train.label_discriminator import LabelDiscriminatorTraining
from robot.train.label_tiers import MaskWeighting
from robot.train.options import Grounding
from robot.train.policy import PolicyTraining
from tests.experiment import toy
from tests.experiment.comparison import (
    arm,
    common_of,
    data_of,
    datasets_of,
    mixed_of,
    scoring_of,
)
from tests.experiment.toy import POLICY, augmentation_of, training_of

HEAD, SCORES = StageId("mask head"), StageId("demonstration discriminator")


def policy(name: str, seed: int | None = None) -> StageId:
    return StageId("policy", name, seed)


def planned(*arms, common: Common | None = None, data: Datasets | None = None):
    """Return the stages of a comparison by their identity, in order."""
    common = common or common_of()
    data = data or datasets_of(tiers=len(common.data.tiers))
    return {stage.id: stage for stage in stages_of(list(arms), common, data)}


def one(*arms, **where) -> Stage:
    """Return the only stage of a comparison."""
    (stage,) = planned(*arms, **where).values()
    return stage


def options_of(stage: Stage):
    return stage.train.args[0]  # type: ignore[attr-defined]


def given(stage: Stage) -> dict[str, object]:
    """Return the keywords that a stage hands to its training, but for its options."""
    return stage.train.keywords  # type: ignore[attr-defined]


def test_an_encoder_that_learns_on_mask_frames_is_trained_before_its_policy():
    told = arm("told", grounding=Grounding(weight=0.3, frame_steps=9))
    stages = planned(told, common=common_of(head=Path("head")))
    encoder = StageId("encoder", "told")
    assert list(stages) == [encoder, policy("told")]
    assert stages[policy("told")].needs == {"encoder": encoder}
    assert stages[encoder].steps == 9
    assert options_of(stages[policy("told")]).grounding == 0.3
    assert one(arm("told", grounding=Grounding(weight=0.3))).needs == {}


def test_a_head_of_its_own_is_trained_even_where_one_is_given():
    frugal = arm("frugal", "learned", own_head=training_of(steps=7))
    stages = planned(frugal, arm("masked", "learned"), common=common_of(head=Path("head")))
    own = StageId("mask head", "frugal")
    assert set(stages) == {own, policy("frugal"), policy("masked")}
    assert stages[policy("frugal")].needs == {"head": own}
    assert stages[own].steps == 7
    assert (
        given(stages[own])["demonstrations"] == options_of(stages[policy("frugal")]).demonstrations
    )
    assert given(stages[policy("masked")])["head"] == Path("head")


def test_what_sees_through_the_head_is_trained_after_it():
    stages = planned(arm("masked", "learned"), arm("unmasked"), arm("oracle", "oracle"))
    assert list(stages)[0] == HEAD
    assert set(stages) == {HEAD, policy("masked"), policy("unmasked"), policy("oracle")}
    assert stages[policy("masked")].needs == {"head": HEAD}


def test_what_sees_through_no_head_waits_for_nothing():
    stages = planned(arm("masked", "learned"), arm("unmasked"), arm("oracle", "oracle"))
    for name in ("unmasked", "oracle"):
        stage = stages[policy(name)]
        assert (stage.needs, stage.waits_for) == ({}, ())


def test_no_head_is_trained_that_nobody_sees_through():
    assert set(planned(arm("unmasked"), arm("oracle", "oracle"))) == {
        policy("unmasked"),
        policy("oracle"),
    }


def test_of_the_policies_the_longest_is_trained_first():
    stages = planned(arm("short"), arm("long", steps=3.0), arm("middle", steps=2.0))
    assert list(stages) == [policy("long"), policy("middle"), policy("short")]


def test_with_a_head_at_hand_none_is_trained(tmp_path):
    head = tmp_path / "head.safetensors"
    head.write_text("weights")
    stage = one(arm("masked", "learned"), common=common_of(head=head))
    assert (stage.id, stage.needs, given(stage)["head"]) == (policy("masked"), {}, head)


def test_a_head_at_hand_is_given_to_those_only_who_see_through_it(tmp_path):
    head = tmp_path / "head.safetensors"
    head.write_text("weights")
    assert given(one(arm("oracle", "oracle"), common=common_of(head=head)))["head"] is None


def test_another_head_makes_another_folder_wherever_it_lies(tmp_path):
    folders = []
    for name, weights in (("one", "these"), ("other", "those"), ("copy", "these")):
        head = tmp_path / f"{name}.safetensors"
        head.write_text(weights)
        folders.append(one(arm("masked", "learned"), common=common_of(head=head)).directory)
    assert folders[0] == folders[2] != folders[1]


def test_a_policy_behind_another_trained_head_lies_elsewhere():
    masked = arm("masked", "learned")
    longer = common_of(mask_training=training_of(steps=7))
    folders = [planned(masked, common=c)[policy("masked")].directory for c in (None, longer)]
    assert folders[0] != folders[1]


def test_every_seed_has_its_own_head_and_policies():
    stages = planned(arm("masked", "learned"), arm("unmasked"), common=common_of(seeds=(0, 1)))
    assert set(stages) == {
        StageId("mask head", seed=0),
        StageId("mask head", seed=1),
        *(policy(name, seed) for name in ("masked", "unmasked") for seed in (0, 1)),
    }
    assert stages[policy("masked", 1)].needs == {"head": StageId("mask head", seed=1)}
    assert len({stage.directory for stage in stages.values()}) == 6


def test_seeds_reach_the_trainings():
    stages = planned(arm("masked", "learned"), common=common_of(seeds=(3, 4)))
    assert {stage.id.seed: options_of(stage).seed for stage in stages.values()} == {3: 3, 4: 4}


def test_a_share_of_hues_reaches_the_head():
    (head, *_) = planned(arm("masked", "learned"), common=common_of(mask_hue_share=0.3)).values()
    assert options_of(head).hue_share == 0.3


def test_one_seed_finds_what_several_have_trained():
    (alone,) = planned(arm("unmasked"), common=common_of(seeds=(1,))).values()
    several = planned(arm("unmasked"), common=common_of(seeds=(0, 1)))
    assert several[policy("unmasked", 1)].directory == alone.directory


def test_an_arm_that_acts_as_another_has_the_others_training():
    common = common_of(seeds=(0, 1))
    dropped = arm("dropped", "learned", policy_of="masked")
    assert policy_id(dropped, common, seed=1) == policy("masked", 1)


def test_steps_of_an_arm_multiply_the_common_number():
    stage = one(arm("unmasked", steps=2.0))
    assert stage.steps == 20 and options_of(stage).training == training_of(steps=20)


def test_what_an_arm_is_reaches_its_training():
    weighed = arm("oracle", "oracle", deployment=Blur(), weighting="trusted_only")
    assert options_of(one(weighed, common=mixed_of())) == PolicyTraining(
        demonstrations=(
            Selection(Path("data/clean-trusted"), 4),
            Selection(Path("data/clean-machine"), 8),
        ),
        policy=Spec("transformer", POLICY),
        masks="oracle",
        deployment=Blur(),
        augmentation=augmentation_of(),
        weighting="trusted_only",
        scores=None,
        training=training_of(steps=10),
        batch_size=4,
        seed=0,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 2.0},
        {"scenes": ("randomised",)},
        {"policy": Spec("transformer", POLICY | {"width": 12})},
        {"augment": augmentation_of(noise=0.5)},
        {"deployment": Blur()},
        {"weighting": "trusted_only"},
        {"perception": "none"},
    ],
)
def test_whatever_an_arm_is_made_of_makes_another_folder(change):
    common = mixed_of()
    before = arm("arm", "oracle")
    assert (
        one(before, common=common).directory
        != one(replace(before, **change), common=common).directory
    )


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 8},
        {"look_every": 2},
        {"seeds": (1,)},
        {"train": training_of(steps=11)},
        {"data": data_of(episodes=3)},
    ],
)
def test_whatever_arms_share_makes_other_folders(change):
    assert (
        one(arm("unmasked")).directory != one(arm("unmasked"), common=common_of(**change)).directory
    )


def test_a_change_in_how_it_acts_finds_the_same_policy(tmp_path):
    broken = arm("masked", "learned", faults=(Spec("dropped", {"share": 0.3}),), mask_period=4)
    plain = arm("masked", "learned")
    folders = [planned(a)[policy("masked")].directory for a in (plain, broken)]
    assert folders[0] == folders[1]


def test_the_same_content_has_the_same_folder_names_wherever_the_store_lies(tmp_path):
    arms = (arm("masked", "learned", weighting="dwsl"), arm("unmasked"))
    here = planned(*arms, common=mixed_of())
    common = mixed_of()
    there = planned(
        *arms,
        common=replace(common, data=replace(common.data, root=tmp_path)),
        data=datasets_of(tmp_path, tiers=2),
    )
    assert [stage.directory.name for stage in here.values()] == [
        stage.directory.name for stage in there.values()
    ]
    assert {stage.directory.parent for stage in there.values()} == {tmp_path / "models"}


def test_other_textures_to_paste_make_another_folder(monkeypatch):
    pasting = arm("augmented", augment=augmentation_of(backgrounds=0.7))
    before = one(pasting).directory
    monkeypatch.setattr("robot.experiment.stages.training_textures", lambda: [Path("other.png")])
    assert one(pasting).directory != before


def test_only_an_arm_that_pastes_backgrounds_is_given_pictures():
    pasting = arm("augmented", augment=augmentation_of(backgrounds=0.7))
    stages = planned(arm("unmasked"), pasting)
    assert not given(stages[policy("unmasked")])["textures"]
    assert given(stages[policy("augmented")])["textures"]


# --- demonstrations of two tiers


def test_trusted_demonstrations_alone_are_not_scored():
    assert SCORES not in planned(arm("masked", "learned"), arm("unmasked"))


def test_demonstrations_are_scored_once_per_seed_before_any_policy_learns_from_the_scores():
    arms = (
        arm("masked", "learned", weighting="dwsl"),
        arm("randomised", scenes=("clean", "randomised"), weighting="dwsl"),
    )
    stages = planned(*arms, common=replace(mixed_of(), seeds=(0, 1)))
    assert [stage for stage in stages if stage.kind == SCORES.kind] == [
        replace(SCORES, seed=0),
        replace(SCORES, seed=1),
    ]
    for name in ("masked", "randomised"):
        for seed in (0, 1):
            assert stages[policy(name, seed)].waits_for == (replace(SCORES, seed=seed),)
    assert len({stage.directory for stage in stages.values()}) == 2 * (1 + 1 + 2)


def test_all_stores_that_arms_learn_from_are_scored_together():
    arms = (arm("a", weighting="dwsl"), arm("b", scenes=("clean", "randomised"), weighting="dwsl"))
    scored = options_of(planned(*arms, common=mixed_of())[SCORES]).demonstrations
    assert [(selection.root.name, selection.episodes) for selection in scored] == [
        ("clean-trusted", 4),
        ("randomised-trusted", 2),
        ("clean-machine", 8),
        ("randomised-machine", 4),
    ]


def test_a_policy_weighs_by_the_scores_that_the_discriminator_names_after_its_folder():
    stages = planned(arm("unmasked", weighting="dwsl"), common=mixed_of())
    name = stages[SCORES].directory.name
    assert options_of(stages[policy("unmasked")]).scores == name


def test_a_head_learns_from_mask_frames_and_waits_for_no_scores():
    stages = planned(arm("masked", "learned", weighting="dwsl"), common=mixed_of())
    assert (stages[HEAD].needs, stages[HEAD].waits_for) == ({}, ())


def test_arms_of_several_weightings_share_their_scores_and_no_folder():
    kinds = ("uniform", "oracle", "dwsl", "hard_filter")
    stages = planned(*(arm(kind, weighting=kind) for kind in kinds), common=mixed_of())
    name = stages[SCORES].directory.name
    policies = [stages[policy(kind)] for kind in kinds]
    assert [options_of(stage).weighting for stage in policies] == list(kinds)
    assert [options_of(stage).scores for stage in policies] == [None, None, name, name]
    assert [stage.waits_for for stage in policies] == [(), (), (SCORES,), (SCORES,)]
    assert len({stage.directory for stage in policies}) == 4


def test_an_arm_that_needs_no_scores_changes_none():
    weighed, plain = arm("dwsl", weighting="dwsl"), arm("randomised", scenes=("randomised",))
    alone, beside = (planned(*arms, common=mixed_of()) for arms in ([weighed], [weighed, plain]))
    assert alone[SCORES].directory == beside[SCORES].directory


def test_the_steps_of_scoring_are_those_of_all_folds():
    common = replace(mixed_of(), scoring=scoring_of(folds=3, training=training_of(steps=5)))
    assert planned(arm("a", weighting="dwsl"), common=common)[SCORES].steps == 15


@pytest.mark.parametrize(
    "change", [{"folds": 3}, {"calibrate": False}, {"training": training_of(steps=5)}]
)
def test_a_discriminator_with_other_options_lies_elsewhere(change):
    weighed = arm("a", weighting="dwsl")
    folders = [
        planned(weighed, common=replace(mixed_of(), scoring=scoring))[SCORES].directory
        for scoring in (scoring_of(), scoring_of(**change))
    ]
    assert folders[0] != folders[1]


def scored_through(head: Path, *, masks: str = "learned") -> Stage:
    common = replace(mixed_of(), scoring=scoring_of(masks=masks, head=head))
    stage = scoring_stage([arm("a", weighting="dwsl")], common, datasets_of(tiers=2), seed=0)
    assert stage is not None
    return stage


def test_a_discriminator_counts_the_head_it_sees_through_by_content(tmp_path):
    folders = []
    for name, weights in (("one", "these"), ("other", "those"), ("copy", "these")):
        head = tmp_path / f"{name}.safetensors"
        head.write_text(weights)
        folders.append(scored_through(head).directory)
    assert folders[0] == folders[2] != folders[1]


def test_a_discriminator_is_given_a_head_only_where_it_sees_through_one(tmp_path):
    head = tmp_path / "head.safetensors"
    head.write_text("weights")
    assert options_of(scored_through(head)).scoring.head == head
    assert options_of(scored_through(head, masks="oracle")).scoring.head is None


# --- mask heads


def head_folder(**change) -> Path:
    stage = head_stage(common_of(**change), datasets_of(), seed=0)
    assert stage is not None
    return stage.directory


def test_heads_of_more_mask_frames_are_other_heads():
    more = replace(common_of().data.mask_frames, shards=6)
    assert head_folder() != head_folder(data=data_of(mask_frames=more))


def test_a_head_that_goes_on_counts_what_it_starts_from_by_content(tmp_path):
    starts = [tmp_path / f"{name}.safetensors" for name in ("first", "copied", "other")]
    for start, weights in zip(starts, ("weights", "weights", "other weights"), strict=True):
        start.write_text(weights)
    first, copied, other = (head_folder(head_start=start) for start in starts)
    assert first == copied
    assert len({first, other, head_folder()}) == 3


def test_a_head_is_given_what_it_starts_from_where_there_is_something(tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_text("weights")
    stages = [head_stage(common_of(head_start=s), datasets_of(), seed=0) for s in (start, None)]
    assert [given(stage)["start"] for stage in stages if stage] == [start, None]


WEIGHED = MaskWeighting(
    kind="dwsl",
    discriminator=Spec("mask_discriminator", {"dim": 8}),
    training=training_of(steps=3),
)


def label_discriminator(witness: Stage | None, **change) -> Stage:
    options = LabelDiscriminatorTraining(
        shards=4, weighting=replace(WEIGHED, **change), batch_size=4, seed=0
    )
    return label_discriminator_training(
        StageId("mask discriminator"),
        options,
        frames=Path("frames"),
        witness=witness,
        root=Path("data"),
        wandb_mode="disabled",
    )


def head_of(identity: StageId, **inputs) -> Stage:
    return head_training(
        identity,
        toy.head_training(),
        **{"frames": Path("frames"), "start": None} | inputs,
        root=Path("data"),
        wandb_mode="disabled",
    )


def test_a_discriminator_of_labels_waits_for_the_witness_whose_loss_it_sees():
    witness = head_of(StageId("mask witness"))
    assert label_discriminator(witness).needs == {"witness": StageId("mask witness")}
    assert label_discriminator(None).needs == {}
    assert label_discriminator(witness).directory != label_discriminator(None).directory


def test_a_discriminator_of_other_labels_lies_elsewhere():
    assert (
        label_discriminator(None).directory != label_discriminator(None, fault_share=0.4).directory
    )


def test_a_head_behind_another_discriminator_lies_elsewhere():
    discriminators = (None, label_discriminator(None), label_discriminator(None, fault_share=0.4))
    heads = [head_of(HEAD, discriminator=one) for one in discriminators]
    assert len({head.directory for head in heads}) == 3


# --- a folder is named after all arguments of its training


def stages_of_every_kind(tmp_path: Path) -> list[Stage]:
    """Return a stage of every learner, with every kind of input that it takes."""
    head = tmp_path / "head.safetensors"
    head.write_text("weights")
    pasting = arm("pasting", augment=augmentation_of(backgrounds=0.7))
    arms = (arm("weighted", "learned", weighting="dwsl"), pasting)
    trained, given_head = (
        planned(*arms, common=replace(mixed_of(), head=file, head_start=head))
        for file in (None, head)
    )
    witness = head_of(StageId("mask witness"), start=head)
    discriminator = label_discriminator(witness)
    behind = head_of(replace(HEAD, seed=9), start=witness, discriminator=discriminator)
    through = scored_through(head)
    return [*trained.values(), *given_head.values(), witness, discriminator, behind, through]


def variants(value: object, *, folder: Path) -> Iterator[object]:
    """Yield a value with each of its parts changed, one at a time, whether or not it is valid."""
    if is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            for other in variants(getattr(value, part.name), folder=folder):
                changed = copy.copy(value)
                object.__setattr__(changed, part.name, other)
                yield changed
    elif isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from ({**value, name: other} for other in variants(part, folder=folder))
    elif isinstance(value, list | tuple) and value:
        for index, part in enumerate(value):
            for other in variants(part, folder=folder):
                yield [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, Path):
        other = folder / f"changed-{value.name}"
        if value.is_file():
            other.write_bytes(value.read_bytes() + b" and more")
        yield other
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield f"{value}, changed"
    else:
        assert value in (None, (), [], {}), value
        yield {"added": 1} if value == {} else ["added"]


def rebuilt(stage: Stage, *, options: object, inputs: dict[str, object]) -> Stage:
    prefix, _, _ = stage.directory.name.rpartition("-")
    where = {"root": stage.directory.parent.parent, "wandb_mode": stage.wandb_mode}
    train = stage.train.func  # type: ignore[attr-defined]
    return make_stage(stage.id, train, options, name=prefix, steps=stage.steps, **where, **inputs)


def test_any_change_of_any_argument_makes_another_folder(tmp_path):
    stages = stages_of_every_kind(tmp_path)
    by_id = {stage.id: stage for stage in stages}
    for stage in stages:
        options, inputs = options_of(stage), given(stage)
        needed = {name: by_id[earlier] for name, earlier in stage.needs.items()}
        again = rebuilt(stage, options=options, inputs={**inputs, **needed})
        assert again.directory == stage.directory
        changed = [
            *((other, inputs) for other in variants(options, folder=tmp_path)),
            *((options, other) for other in variants(inputs, folder=tmp_path)),
        ]
        found = [
            rebuilt(stage, options=other, inputs={**values, **needed}).directory
            for other, values in changed
        ]
        assert len(found) >= 20
        assert len({stage.directory, *found}) == 1 + len(found)
        for name, earlier in needed.items():
            other = replace(earlier, directory=Path("another"))
            behind = rebuilt(stage, options=options, inputs={**inputs, **needed, name: other})
            assert behind.directory != stage.directory


def test_a_stage_binds_every_argument_of_its_training(tmp_path):
    """None is left to a default, which could change without another folder."""
    for stage in stages_of_every_kind(tmp_path):
        function = stage.train.func  # type: ignore[attr-defined]
        taken = set(inspect.signature(function).parameters)
        bound = {"options", *given(stage), *stage.needs}
        assert bound == taken - {"directory", "log", "announce"}, stage.id
