"""Every arm on the same episodes, results in order, whatever order they are done in."""

from __future__ import annotations

from pathlib import Path

import pytest
from robot.experiment.evaluate import Arm, evaluate

from robot.experiment import evaluate as stage
from robot.rollout.act import Job, Outcome

ARMS = [
    Arm("masked", Path("masked"), "learned", Path("head"), {"name": "overlay"}, training_seed=3),
    Arm("unmasked", Path("unmasked"), "none", None, {"name": "none"}),
]


def outcome_of(job: Job) -> Outcome:
    return Outcome(
        success=job.arm == "masked",
        steps=10 + job.index,
        wrong_object=False,
        closed_on_object=True,
        mask_iou=0.9,
        plan_ms=(1.0, 2.0),
        goal=f"{job.task} {job.scene} {job.index}",
    )


@pytest.fixture
def evaluated(monkeypatch):
    """Evaluate without a simulator, the episodes done backwards; returns what came and what
    progress heard.
    """
    jobs_seen: list[Job] = []

    def make(*, jobs, **_options):
        jobs_seen.extend(jobs)
        return lambda item: outcome_of(jobs[item])

    def backwards(make_work, items, *, workers):
        work = make_work()
        return ((item, work(item)) for item in reversed(items))

    monkeypatch.setattr(stage, "make_evaluator", make)
    monkeypatch.setattr(stage, "parallel_map", backwards)
    heard: list[tuple[int, int]] = []
    came = evaluate(
        ARMS,
        tasks=["pick", "place"],
        scenes=["clean", "distract"],
        episodes=3,
        seed=1000,
        execute=8,
        ensemble_decay=None,
        env_options={"image_size": 32},
        keep=1,
        workers=2,
        progress=lambda done, of: heard.append((done, of)),
    )
    return came, heard, jobs_seen


def test_every_arm_meets_the_same_episodes(evaluated):
    came, _, _ = evaluated
    episodes = {
        arm.name: [
            (e.result.task, e.result.scene, e.result.index)
            for e in came
            if e.result.arm == arm.name
        ]
        for arm in ARMS
    }
    assert episodes["masked"] == episodes["unmasked"]
    assert len(episodes["masked"]) == len(set(episodes["masked"])) == 2 * 2 * 3


def test_an_outcome_stays_with_its_episode(evaluated):
    for one in evaluated[0]:
        result = one.result
        assert one.outcome.goal == f"{result.task} {result.scene} {result.index}"
        assert (result.steps, result.success, result.seed) == (
            10 + result.index,
            result.arm == "masked",
            1000,
        )


def test_what_the_hand_closed_on_is_kept(evaluated):
    assert {e.result.closed_on_object for e in evaluated[0]} == {True}


def test_masks_are_judged_only_where_they_were_learned(evaluated):
    assert {(e.result.arm, e.result.mask_iou) for e in evaluated[0]} == {
        ("masked", 0.9),
        ("unmasked", None),
    }
    assert {(e.result.arm, e.result.training_seed) for e in evaluated[0]} == {
        ("masked", 3),
        ("unmasked", 0),
    }


def test_the_first_episodes_of_every_cell_keep_their_pictures(evaluated):
    jobs = evaluated[2]
    assert [job.index for job in jobs if job.keep] == [0] * (2 * 2 * 2)


def test_progress_counts_episodes(evaluated):
    assert evaluated[1] == [(k, 24) for k in range(1, 25)]
