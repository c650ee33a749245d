"""Who is evaluated with what, what is published, and what the report says of a comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robot.checkpoint import file_digest, save
from robot.experiment.arms import Arm
from robot.experiment.cells import Cell, Entrant
from robot.experiment.compare import (
    Comparison,
    agent_of,
    made_at,
    measure_head,
    plan_cells,
    protocol_of,
    publish,
    story_of,
    summary_of,
)
from robot.experiment.config import Common
from robot.experiment.jobs import StageId, Trained
from robot.experiment.stages import stages_of
from robot.perception.compose.masking import Unmasked
from robot.rollout.agents import AgentSpec
from robot.system.parse import Spec
from tests.experiment.comparison import (
    arm,
    common_of,
    data_of,
    datasets_of,
    evaluation_of,
    mixed_of,
)

MASKED, UNMASKED = arm("masked", "learned"), arm("unmasked")
FAULTS = (Spec("dropped", {"share": 0.3}),)
DROPPED = replace(arm("dropped", "learned", policy_of="masked"), faults=FAULTS, mask_period=2)


def comparison(*arms: Arm, common: Common | None = None) -> Comparison:
    """Return a comparison whose arms are trained unless they act as another."""
    trained = tuple(one for one in arms if one.trains)
    return Comparison(tuple(arms), trained, common or common_of())


def checkpoint(root: Path, name: str) -> Path:
    return save(root / name, torch.nn.Linear(1, 1), kind=name, config={})


@pytest.fixture
def trained(tmp_path) -> Trained:
    """Return the checkpoints of a head and two policies of one seed, and of two seeds."""
    found = {}
    for seed in (None, 0, 1):
        for identity in (
            StageId("mask head", seed=seed),
            StageId("policy", "masked", seed),
            StageId("policy", "unmasked", seed),
        ):
            found[identity] = checkpoint(tmp_path / "models", str(identity).replace(" ", "-"))
    return Trained(found, {StageId("policy", "masked"): 3.0})


def test_an_arm_acts_with_its_policy_and_the_trained_head(trained):
    agent = agent_of(MASKED, common_of(), trained, seed=0)
    assert agent.policy == trained.checkpoints[StageId("policy", "masked")]
    assert agent.head == trained.checkpoints[StageId("mask head")]
    assert (agent.perception, agent.deployment) == ("learned", MASKED.deployment)
    assert (agent.faults, agent.mask_period) == ((), 1)


@pytest.mark.parametrize("perception", ["none", "oracle"])
def test_an_arm_without_learned_masks_acts_without_a_head(perception, trained):
    unmasked = arm("unmasked", perception)
    assert agent_of(unmasked, common_of(), trained, seed=0).head is None


def test_a_given_head_is_that_of_every_learned_mask(trained):
    common = common_of(head=Path("given"))
    assert agent_of(MASKED, common, trained, seed=0).head == Path("given")
    assert agent_of(UNMASKED, common, trained, seed=0).head is None


def test_an_arm_with_broken_masks_acts_with_another_arms_policy(trained):
    agent = agent_of(DROPPED, common_of(), trained, seed=0)
    assert agent.policy == trained.checkpoints[StageId("policy", "masked")]
    assert (agent.faults, agent.mask_period) == (FAULTS, 2)


def test_every_arm_under_every_seed_is_evaluated_on_every_task_in_every_scene(trained):
    evaluation = evaluation_of(tasks=("pick", "place"))
    common = common_of(seeds=(0, 1), evaluation=evaluation)
    cells = plan_cells(comparison(UNMASKED, MASKED, common=common), trained)
    assert [(c.entrant.arm, c.entrant.training_seed, c.task, c.scene) for c in cells] == [
        (name, seed, task, scene)
        for name in ("unmasked", "masked")
        for seed in (0, 1)
        for task in ("pick", "place")
        for scene in ("clean", "distract")
    ]


def test_every_seed_acts_with_its_own_policy_and_head(trained):
    cells = plan_cells(comparison(MASKED, common=common_of(seeds=(0, 1))), trained)
    for cell in cells:
        seed = cell.entrant.training_seed
        agent = cell.entrant.agent
        assert agent.policy == trained.checkpoints[StageId("policy", "masked", seed)]
        assert agent.head == trained.checkpoints[StageId("mask head", seed=seed)]


def test_an_episode_is_run_as_the_evaluation_says():
    common = common_of(evaluation=evaluation_of(seed=7, execute=3, ensemble_decay=0.1))
    protocol = protocol_of(common)
    assert (protocol.seed, protocol.execute, protocol.ensemble_decay) == (7, 3, 0.1)
    assert protocol.env == common.env


def test_policies_of_a_single_seed_are_copied_into_the_run_with_their_heads(trained, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    folders = publish(comparison(MASKED, UNMASKED, DROPPED), trained, run=run)
    assert folders == {"masked": {0: run / "masked"}, "unmasked": {0: run / "unmasked"}}
    assert {path.relative_to(run).as_posix() for path in run.rglob("*.*")} == {
        *(f"masked/{stem}.{kind}" for stem in ("model", "mask_head") for kind in KINDS),
        *(f"unmasked/model.{kind}" for kind in KINDS),
    }
    head = trained.checkpoints[StageId("mask head")]
    assert file_digest(run / "masked/mask_head.safetensors") == file_digest(head)
    assert json.loads((run / "masked/model.json").read_text())["kind"] == "policy-masked"


KINDS = ("safetensors", "json")


def test_policies_of_several_seeds_have_a_folder_each(trained, tmp_path):
    common = common_of(seeds=(0, 1))
    folders = publish(comparison(MASKED, common=common), trained, run=tmp_path / "run")
    assert folders == {"masked": {seed: tmp_path / f"run/masked/{seed}" for seed in (0, 1)}}
    for seed, folder in folders["masked"].items():
        policy, head = StageId("policy", "masked", seed), StageId("mask head", seed=seed)
        for identity, name in ((policy, "model"), (head, "mask_head")):
            copied = file_digest(folder / f"{name}.safetensors")
            assert copied == file_digest(trained.checkpoints[identity])


def measured_heads(monkeypatch, trained, *arms: Arm, **change) -> list[Path]:
    """Return the checkpoints that a comparison measures."""
    measured = []
    monkeypatch.setattr("robot.experiment.compare.Head.load", measured.append)
    monkeypatch.setattr("robot.experiment.compare.measure_masks", lambda *_, **__: [])
    evaluation = evaluation_of(mask_scenes=("clean",))
    measure_head(
        comparison(*arms, common=common_of(**{"evaluation": evaluation, **change})), trained
    )
    return measured


def test_the_head_that_masks_come_from_is_measured_trained_or_given(trained, monkeypatch):
    head, given = trained.checkpoints[StageId("mask head")], Path("given")
    assert measured_heads(monkeypatch, trained, MASKED) == [head]
    assert measured_heads(monkeypatch, trained, MASKED, head=given) == [given]


def test_no_head_is_measured_where_no_arm_sees_through_one(trained, monkeypatch):
    assert measured_heads(monkeypatch, trained, UNMASKED, head=Path("given")) == []


def test_the_summary_counts_what_was_compared():
    common = replace(mixed_of(), seeds=(0, 1), evaluation=evaluation_of(episodes=5))
    assert summary_of(comparison(MASKED, UNMASKED, common=common)) == (
        "Arms: 2; demonstrations: 12; training seeds: 2; tasks: 1; scenes: 2; "
        "episodes per cell: 5. All arms start from the same initial states."
    )


def cells_at(root: Path, *revisions: str) -> list[Cell]:
    files = []
    for number, revision in enumerate(revisions):
        files.append(root / f"{number}.json")
        files[-1].write_text(json.dumps({"episodes": [], "git_revision": revision}))
    agent = AgentSpec(policy=root, perception="none", head=None, deployment=Unmasked())
    entrant = Entrant("masked", 0, agent)
    return [Cell(entrant, "pick", "clean", file) for file in files]


def test_the_report_names_the_code_that_trained_and_evaluated(trained, tmp_path):
    cells = cells_at(tmp_path, "b" * 40, "a" * 40, "b" * 40)
    path = trained.checkpoints[StageId("mask head")]
    header = json.loads(path.with_suffix(".json").read_text())
    assert made_at([path, tmp_path / "scores.parquet"], cells) == {
        "Trained": [header["git_revision"][:12]],
        "Evaluated": ["a" * 12, "b" * 12],
    }


def story(*arms: Arm, common: Common, trained: Trained):
    compared = comparison(*arms, common=common)
    stages = stages_of(compared.trained, common, datasets_of())
    return story_of(compared, stages, [], trained, config_yaml="a: 1", stage_s={"train": 2.0})


def test_the_first_arm_is_the_one_under_test(trained):
    common = common_of(data=data_of(seed=5))
    told = story(MASKED, UNMASKED, common=common, trained=trained)
    assert (told.arm, told.title) == ("masked", "pick: masked against unmasked")
    assert told.seeds == "training 0, data 5, evaluation 1000"
    assert told.look_dt_s == pytest.approx(2 * 0.05)
    assert (told.stage_s, told.trained_s) == ({"train": 2.0}, {"policy masked": 3.0})


def test_one_arm_is_against_nobody(trained):
    assert story(UNMASKED, common=common_of(), trained=trained).title == "pick: unmasked"


def test_the_report_draws_the_log_of_every_training(trained):
    logs = story(MASKED, UNMASKED, common=common_of(), trained=trained).logs
    assert set(logs) == {"mask head", "policy masked", "policy unmasked"}
    assert {path.name for path in logs.values()} == {"log.jsonl"}


def test_a_headline_is_of_a_scene_that_was_evaluated(trained):
    scenes = [
        story(
            UNMASKED,
            common=common_of(evaluation=evaluation_of(headline_scene=scene)),
            trained=trained,
        ).headline_scene
        for scene in ("distract", "messy", None)
    ]
    assert scenes == ["distract", None, None]


@pytest.mark.parametrize(
    "change",
    [
        {"evaluation": evaluation_of(mask_scenes=())},
        {"evaluation": evaluation_of(mask_scenes=("clean",)), "task": "lift"},
    ],
)
def test_a_head_is_measured_only_where_there_are_scenes_for_it(change, trained, monkeypatch):
    assert measured_heads(monkeypatch, trained, MASKED, **change) == []
