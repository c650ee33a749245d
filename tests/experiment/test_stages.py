"""The trainings of a comparison: who waits for the mask head, and which folders they are found in
again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from robot.experiment.recipe import Recipe, Shared

from robot.experiment.stages import chains_of, head_stage, needs_frames, rounds_of
from robot.system.cache import key
from robot.types import InputError

AUGMENT = {"jitter": None, "ring": 0.0, "shift": 1, "drop": 0.0, "noise": 0.0}
POLICY = {"_target_": "robot.policy.TransformerPolicy", "width": 8, "vision": "cnn"}
STORES = {"clean": [Path("clean")], "randomised": [Path("randomised")]}


def recipe(name: str, perception: str, **change) -> Recipe:
    deployment = {"name": "none" if perception == "none" else "overlay"}
    options = {"deployment": deployment, "scenes": ("clean",), "steps": 1.0, "augment": AUGMENT}
    return Recipe(name=name, perception=perception, **options | change)


def shared(**change) -> Shared:
    options = {
        "root": Path("data"),
        "task": "pick",
        "robot": "Panda",
        "policy": POLICY,
        "data": {"episodes": 4, "seed": 0, "quality": None},
        "judging": {"folds": 2, "head": None, "training": {"steps": 5}},
        "mask_frames": {"shards": 5},
        "training": {"steps": 10},
        "batch_size": 4,
        "mask_head": {"dim": 8},
        "mask_training": {"steps": 6},
        "head_start": None,
        "mask_batch_size": 4,
        "image_size": 32,
        "control_dt_s": 0.05,
        "workers": 1,
        "wandb": "disabled",
    }
    return Shared(**options | change)


def chains(*recipes: Recipe, seed: int = 0, **how):
    options = {"shared": shared(), "stores": STORES, "frames": Path("frames"), **how}
    return chains_of(list(recipes), seed=seed, **options)


def names(found) -> list[list[str]]:
    return [[stage.name for stage in chain.stages] for chain in found]


def test_what_sees_through_the_head_is_trained_after_it():
    found = chains(
        recipe("masked", "learned"), recipe("unmasked", "none"), recipe("oracle", "oracle")
    )
    assert names(found) == [["mask head", "policy masked"], ["policy unmasked"], ["policy oracle"]]
    assert found[0].feeds == {"policy masked": {"head": "mask head"}}


def test_with_a_head_at_hand_none_is_trained(tmp_path):
    head = tmp_path / "head.safetensors"
    head.write_text("weights")
    found = chains(recipe("masked", "learned"), head=head)
    assert names(found) == [["policy masked"]] and found[0].stages[0].options["head"] == head


def test_another_head_makes_another_folder(tmp_path):
    head, folders = tmp_path / "head.safetensors", set()
    for weights in ("these", "those"):
        head.write_text(weights)
        folders.add(chains(recipe("masked", "learned"), head=head)[0].stages[0].directory)
    assert len(folders) == 2


def test_stages_of_several_seeds_are_set_apart():
    found = [
        c
        for seed in (0, 1)
        for c in chains(recipe("masked", "learned"), seed=seed, suffix=f" seed {seed}")
    ]
    assert names(found) == [[f"mask head seed {k}", f"policy masked seed {k}"] for k in (0, 1)]
    assert len({stage.directory for chain in found for stage in chain.stages}) == 4


def test_steps_of_an_arm_multiply_the_common_number():
    stage = chains(recipe("unmasked", "none", steps=2.0))[0].stages[0]
    assert stage.steps == 20 and stage.options["training"] == {"steps": 20}


def test_options_that_came_later_do_not_rename_what_was_trained_before():
    before = {
        "demonstrations": [Path("clean")],
        "episodes": 4,
        "kind": "transformer",
        "policy": {"width": 8, "vision": "cnn"},
        "masks": "none",
        "head": None,
        "deployment": {"name": "none"},
        "augment": AUGMENT,
        "training": {"steps": 10},
        "batch_size": 4,
        "seed": 0,
        "control_dt_s": 0.05,
    }
    stage = chains(recipe("unmasked", "none"))[0].stages[0]
    assert stage.directory.name == key("pick-transformer-unmasked", before)
    tokens = chains(
        recipe("unmasked", "none"), shared=shared(policy=POLICY | {"vision": "tokens"})
    )[0].stages[0]
    assert tokens.directory != stage.directory


TIERS = {scene: [*paths, Path(f"{scene}-machine")] for scene, paths in STORES.items()}
MIXED = {
    "episodes": 4,
    "seed": 0,
    "quality": {"episodes": 8, "seed": 1, "corrupted": 0.5, "kinds": {"stall": 1}},
}


def rounds(*recipes: Recipe, seed: int = 0, **change):
    how = {
        "stores": TIERS if "data" in change else STORES,
        "frames": Path("frames"),
        "suffix": f" seed {seed}",
    }
    return rounds_of(list(recipes), shared=shared(**change), seed=seed, **how)


def test_demonstrations_that_are_all_trusted_are_trained_on_as_ever():
    judges, trainings = rounds(recipe("masked", "learned"), recipe("unmasked", "none"))
    plain = chains(recipe("masked", "learned"), recipe("unmasked", "none"), suffix=" seed 0")
    assert judges == [] and trainings == plain


def test_demonstrations_of_both_tiers_are_judged_once_per_seed_before_any_policy_learns():
    weighed = {"weighting": "dwsl"}
    arms = (
        recipe("masked", "learned", **weighed),
        recipe("randomised", "none", scenes=("clean", "randomised"), **weighed),
    )
    found = [rounds(*arms, seed=seed, data=MIXED) for seed in (0, 1)]
    assert [names(judges) for judges, _ in found] == [[["judge seed 0"]], [["judge seed 1"]]]
    judge, (behind_head, alone) = found[0][0][0].stages[0], found[0][1]
    assert judge.options["episodes"] == [4, 2, 8, 4]
    for stage, counts in ((behind_head.stages[1], [4, 8]), (alone.stages[0], [2, 2, 4, 4])):
        assert stage.options["episodes"] == counts
        assert (stage.options["weighting"], stage.options["scores"]) == (
            "dwsl",
            judge.options["name"],
        )
    assert "weighting" not in behind_head.stages[0].options, "the head learns from mask frames"
    assert (
        len(
            {
                stage.directory
                for seed in found
                for round_ in seed
                for chain in round_
                for stage in chain.stages
            }
        )
        == 8
    )


def test_arms_of_several_weightings_share_one_verdict_and_no_folder():
    kinds = ("uniform", "oracle", "dwsl", "hard_filter")
    judges, trainings = rounds(
        *(recipe(kind, "none", weighting=kind) for kind in kinds), data=MIXED
    )
    assert names(judges) == [["judge seed 0"]]
    stages = [chain.stages[0] for chain in trainings]
    assert [stage.options.get("weighting", "uniform") for stage in stages] == list(kinds)
    verdict = judges[0].stages[0].options["name"]
    assert [stage.options.get("scores") for stage in stages] == [None, None, verdict, verdict]
    assert len({stage.directory for stage in stages}) == 4


def test_an_arm_that_asks_for_no_verdict_changes_none():
    weighed, plain = (
        recipe("dwsl", "none", weighting="dwsl"),
        recipe("randomised", "none", scenes=("randomised",)),
    )
    (alone,), (beside,) = (rounds(*arms, data=MIXED)[0] for arms in ([weighed], [weighed, plain]))
    assert alone == beside


def test_an_arms_own_policy_options_go_over_the_common_ones_and_into_its_folder():
    same, other = (recipe("arm", "none", policy=options) for options in ({}, {"vision": "tokens"}))
    (plain,), (changed,) = (chain.stages for one in (same, other) for chain in chains(one))
    assert changed.options["policy"] == plain.options["policy"] | {"vision": "tokens"}
    assert plain.directory != changed.directory


def test_mask_frames_are_needed_for_a_head_only():
    assert not needs_frames([recipe("unmasked", "none"), recipe("oracle", "oracle")])
    assert needs_frames([recipe("masked", "learned")])
    assert not needs_frames([recipe("masked", "learned")], head=Path("head"))


def test_heads_of_more_mask_frames_are_other_heads():
    stages = [
        head_stage(shared(mask_frames={"shards": n}), frames=Path("frames"), seed=0) for n in (5, 6)
    ]
    assert stages[0].directory != stages[1].directory


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(
        InputError,
        match="got policy._target_=os.system, expected one of robot.policy.DiffusionPolicy",
    ):
        shared(policy={"_target_": "os.system"})


def test_a_head_that_goes_on_counts_what_it_starts_from_by_content(tmp_path):
    first, copied, other = (
        tmp_path / f"{name}.safetensors" for name in ("first", "copied", "other")
    )
    first.write_bytes(b"weights")
    copied.write_bytes(b"weights")
    other.write_bytes(b"other weights")
    stages = [
        head_stage(shared(head_start=start), frames=Path("frames"), seed=0)
        for start in (first, copied, other, None)
    ]
    directories = [stage.directory for stage in stages]
    assert directories[0] == directories[1] and len(set(directories)) == 3
    assert stages[0].options["start"] == first and "start" not in stages[3].options
