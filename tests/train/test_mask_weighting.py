"""Trusted and machine tiers, and the two stages that learn from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from launch.mask_learning import DISCRIMINATOR as DISCRIMINATOR_ID
from launch.mask_learning import HEAD as HEAD_ID
from launch.mask_learning import WITNESS, stages_of
from launch.mask_training import MaskJob
from robot.checkpoint import read_header, write_tensors
from robot.data.mask_frames import MaskFrames, MaskFrameStore
from robot.data.record_frames import record_files, with_records
from robot.language import LanguageEncoder
from robot.system.parse import parse
from robot.train.label_discriminator import (
    LabelDiscriminatorTraining,
    auroc_by_domain,
    load_logits,
    train_label_discriminator,
)
from robot.train.label_tiers import MaskWeighting, Tiers, make_tiers
from robot.train.mask_head import mask_batches, train_mask_head, weighted_frames
from robot.types import InputError
from tests.data.goal_records import write_goals
from tests.experiment.toy import HEAD, TRAINING, head_training, write_mask_frames

pytestmark = pytest.mark.usefixtures("hashed_words")

DISCRIMINATOR = {
    "widths": [8, 8, 8],
    "blocks": [1, 1, 1],
    "dim": 16,
    "queries": 2,
    "max_tokens": 24,
    "fill": 0.5,
}
SHARES = {"trusted_share": 0.5, "fault_share": 0.5}
DWSL = {
    "kind": "dwsl",
    **SHARES,
    "witness_steps": 2,
    "discriminator": {"kind": "mask_discriminator", **DISCRIMINATOR},
    "training": TRAINING,
}


def weighting_of(**change) -> MaskWeighting:
    """Return the weighting of a config's section."""
    return parse(MaskWeighting, DWSL | change)


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    return write_mask_frames(tmp_path_factory.mktemp("frames"), shards=3)


def two_domains(count: int = 40) -> MaskFrames:
    labels = np.zeros((count, 16, 16), np.uint8)
    labels[:, 4:8, 4:8] = 1
    return MaskFrames(
        images=np.zeros((count, 16, 16, 3), np.uint8),
        image_ids=np.arange(count),
        labels=labels,
        presence=np.tile([True, False], (count, 1)),
        goal_ids=np.zeros(count, int),
        goals=("take it",),
        cameras=("agentview",) * count,
        scenes=(("clean",) * 30 + ("messy",) * 10)[:count],
        seeds=np.zeros(count, int),
    )


def test_tiers_that_records_state_are_kept_and_their_labels_too():
    stated = np.arange(40) % 4 == 0
    frames = replace(two_domains(), trusted=stated)
    tiers = make_tiers(frames, trusted_share=0.9, fault_share=1.0, seed=0)
    np.testing.assert_array_equal(tiers.trusted, stated)
    assert tiers.frames is frames and not tiers.faulty.any()
    alike = replace(two_domains(), trusted=np.ones(40, bool))
    assert make_tiers(alike, trusted_share=0.5, fault_share=1.0, seed=0).faulty.sum() == 20


def test_a_head_learns_from_records_beside_its_mask_frames(tmp_path):
    frames = write_mask_frames(tmp_path / "frames")
    files = record_files(write_goals(tmp_path / "goals", side=32))
    options = head_training(weighting=weighting_of(kind="dwsl"), records=files)
    seen = LabelDiscriminatorTraining(
        shards=4, weighting=options.weighting, batch_size=4, seed=0, records=files
    )
    witness = train_mask_head(
        head_training(weighting=weighting_of(kind="trusted_only"), records=files),
        frames=frames,
        directory=tmp_path / "witness",
    )
    discriminator = train_label_discriminator(
        seen, frames=frames, directory=tmp_path / "discriminator", witness=witness
    )
    head = train_mask_head(
        options, frames=frames, directory=tmp_path / "head", discriminator=discriminator
    )
    learned = with_records(MaskFrameStore(frames).load(shards=[0, 1]), files)
    assert load_logits(discriminator, records=len(learned), seed=0).isfinite().all()
    assert read_header(head)["metadata"]["vocabulary"] is None  # it reads such goals itself


def test_every_domain_has_its_share_in_both_tiers():
    tiers = make_tiers(two_domains(), trusted_share=0.3, fault_share=0.4, seed=0)
    assert (tiers.trusted[:30].sum(), tiers.trusted[30:].sum()) == (9, 3)


def test_faults_are_in_machine_records_only_and_change_their_labels():
    frames = two_domains()
    tiers = make_tiers(frames, trusted_share=0.3, fault_share=0.4, seed=0)
    changed = (tiers.frames.labels != frames.labels).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, tiers.faulty)
    assert tiers.faulty.any() and not (tiers.faulty & tiers.trusted).any()


@pytest.mark.parametrize(("share", "faulty"), [(0.0, 0), (1.0, 28)])
def test_the_fault_share_is_honoured(share, faulty):
    assert (
        make_tiers(two_domains(), trusted_share=0.3, fault_share=share, seed=0).faulty.sum()
        == faulty
    )


def test_presence_follows_the_faulty_label():
    tiers = make_tiers(two_domains(), trusted_share=0.3, fault_share=1.0, seed=0)
    np.testing.assert_array_equal(
        tiers.frames.presence[:, 0], (tiers.frames.labels == 1).any(axis=(1, 2))
    )


def test_a_discriminator_that_knows_only_the_domain_gets_one_half_within_each():
    tiers = make_tiers(two_domains(), trusted_share=0.3, fault_share=0.5, seed=0)
    domain = torch.tensor([1.0] * 30 + [0.0] * 10)
    measured = auroc_by_domain(tiers, domain)
    assert (measured["clean"].tiers, measured["messy"].tiers) == (0.5, 0.5)


def test_auroc_of_faults_is_that_of_machine_records():
    tiers = Tiers(
        frames=two_domains(4),
        trusted=np.array([True, False, False, False]),
        faulty=np.array([False, True, True, False]),
    )
    measured = auroc_by_domain(tiers, torch.tensor([-9.0, 0.0, 2.0, 1.0]))["all"]
    assert (measured.faults, measured.tiers, measured.records) == (0.5, 0.0, 4)


def test_batches_come_with_weights_of_mean_one_and_follow_their_records():
    frames = two_domains()
    logits = torch.linspace(-4, 4, len(frames))
    batches = mask_batches(
        frames, language=LanguageEncoder.hashed(), cameras=1, batch_size=8, seed=0, logits=logits
    )
    drawn = next(batches(0))
    assert isinstance(drawn, tuple)
    rng = np.random.default_rng([0, 0])
    rng.integers(2**62)  # the seed of the augmentation
    chosen = rng.integers(len(frames), size=8)
    expected = logits[torch.from_numpy(chosen)].sigmoid().clamp(0.1, 0.9)
    torch.testing.assert_close(drawn[1], expected / expected.mean())


def test_only_trusted_records_are_left_for_trusted_only():
    frames, logits = weighted_frames(
        two_domains(), MaskWeighting(kind="trusted_only", **SHARES), discriminator=None, seed=0
    )
    assert len(frames) == 20 and logits is None
    assert (frames.labels == two_domains(20).labels).all()


def test_uniform_learns_from_faults_too():
    frames, logits = weighted_frames(
        two_domains(), MaskWeighting(kind="uniform", **SHARES), discriminator=None, seed=0
    )
    assert logits is None and len(frames) == 40 and (frames.labels != two_domains().labels).any()


def test_both_stages_run_and_the_first_reports_auroc_per_domain(frames, tmp_path):
    witness = train_mask_head(
        head_training(shards=3, weighting=weighting_of(kind="trusted_only")),
        frames=frames,
        directory=tmp_path / "witness",
    )
    discriminator = train_label_discriminator(
        LabelDiscriminatorTraining(shards=3, weighting=weighting_of(), batch_size=4, seed=0),
        frames=frames,
        directory=tmp_path / "discriminator",
        witness=witness,
    )
    measured = read_header(discriminator)["metadata"]["held_out"]
    assert set(measured) == {"all", "clean"} and measured["all"]["records"] == 16
    head = train_mask_head(
        head_training(shards=3, weighting=weighting_of()),
        frames=frames,
        directory=tmp_path / "head",
        discriminator=discriminator,
    )
    assert read_header(head)["metadata"]["weighting"]["kind"] == "dwsl"


@pytest.mark.parametrize("name", ["logits.safetensors", "verdicts.safetensors"])
def test_logits_are_read_by_their_present_and_their_former_name(name, tmp_path):
    write_tensors(tmp_path / name, {"logits": torch.tensor([1.0, -1.0])}, {"seed": 3})
    logits = load_logits(tmp_path / "model.safetensors", records=2, seed=3)
    assert logits.tolist() == [1.0, -1.0]


def test_dwsl_without_its_first_stage_is_refused(frames):
    with pytest.raises(ValueError, match="expected a discriminator's checkpoint with dwsl"):
        weighted_frames(MaskFrameStore(frames).load(), weighting_of(), discriminator=None, seed=0)


@pytest.mark.parametrize(
    "weighting", [MaskWeighting(), MaskWeighting(kind="uniform", **SHARES)], ids=["none", "uniform"]
)
def test_a_discriminator_that_would_be_ignored_is_refused(weighting):
    with pytest.raises(ValueError, match="and with nothing else"):
        weighted_frames(two_domains(), weighting, discriminator=Path("discriminator"), seed=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "guess"}, "got kind=guess, expected 'none', 'uniform', 'trusted_only' or"),
        ({"trusted_share": 1.0}, "both tiers"),
        ({"witness_steps": 0}, "got witness_steps=0, expected at least 1"),
        ({"witness_steps": "many"}, "got witness_steps=many, expected a valid integer"),
        ({"fault_share": 1.5}, "got fault_share=1.5, expected at most 1"),
        ({"discriminator": None}, "kind=dwsl without a discriminator or its training"),
        ({"training": None}, "kind=dwsl without a discriminator or its training"),
    ],
)
def test_a_weighting_that_cannot_be_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        weighting_of(**change)


def job_of(kind: str) -> MaskJob:
    """Return configs/train_mask.yaml at toy size."""
    frames = {"shards": 3, "scenes_per_shard": 1, "goals": 1, "snapshots": 1, "seed": 0}
    frames |= {"tasks": ["pick"], "scenes": {"clean": 1.0}}
    frames |= {"moments": "staged", "absent_share": 0.1, "hard_share": 0.5}
    section = {
        "env": {"image_size": 32},
        "seed": 0,
        "workers": 1,
        "wandb": "disabled",
        "data": {
            "root": "data",
            "episodes": 1,
            "seed": 0,
            "quality": None,
            "mask_frames": frames,
        },
        "mask_head": {"kind": "mask_head", **HEAD},
        "mask_training": TRAINING,
        "mask_batch_size": 4,
        "mask_hue_share": 0.0,
        "mask_weighting": DWSL | {"kind": kind},
        "head_start": None,
        "measure": {"tasks": ["pick"], "scenes": ["clean"], "scenes_each": 1, "seed": 1},
    }
    return parse(MaskJob, section)


@pytest.mark.parametrize("kind", ["none", "uniform", "trusted_only"])
def test_only_dwsl_trains_more_than_the_head(kind):
    assert [stage.id for stage in stages_of(job_of(kind), frames=Path("frames"))] == [HEAD_ID]


def test_dwsl_trains_a_witness_then_the_discriminator_then_the_head():
    stages = stages_of(job_of("dwsl"), frames=Path("frames"))
    assert [(stage.id, dict(stage.needs)) for stage in stages] == [
        (WITNESS, {}),
        (DISCRIMINATOR_ID, {"witness": WITNESS}),
        (HEAD_ID, {"discriminator": DISCRIMINATOR_ID, "start": WITNESS}),
    ]


def test_the_witness_learns_from_trusted_labels_for_its_own_number_of_steps():
    witness, discriminator, head = stages_of(job_of("dwsl"), frames=Path("frames"))
    options = witness.train.args[0]  # type: ignore[attr-defined]
    assert (options.weighting.kind, options.training.steps, witness.steps) == ("trusted_only", 2, 2)
    assert (discriminator.steps, head.steps) == (TRAINING["steps"], TRAINING["steps"])
