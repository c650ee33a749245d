"""Two tiers of demonstrations: how many of which, where from, and refusals before anything long
starts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from robot.experiment import mixture
from robot.experiment.mixture import (
    arm_demonstrations,
    check_data,
    collect_scenes,
    episodes_per_arm,
    judge_stage,
    shares_of,
    weights_of,
)
from robot.system.progress import Bars
from robot.types import InputError
from tests.experiment.toy import POLICY

TRUSTED = {"root": "data", "episodes": 300, "seed": 0, "quality": None}
QUALITY = {"episodes": 150, "seed": 1, "corrupted": 0.6, "kinds": {"noisy": 1}}
MIXED = TRUSTED | {"episodes": 50, "quality": QUALITY}
JUDGING = {
    "kind": "transformer",
    "policy": POLICY,
    "discriminator": {"image_size": 16, "horizon": 4},
    "folds": 2,
    "head": None,
}
JUDGING |= {"training": {"steps": 5}, "image_size": 16, "horizon": 4}
ARMS = [["clean"], ["clean", "randomised"]]
STORES = {
    scene: [Path(f"{scene}-trusted"), Path(f"{scene}-machine")] for scene in ("clean", "randomised")
}


def test_an_arm_gets_the_demonstrations_of_all_tiers():
    assert (episodes_per_arm(TRUSTED), episodes_per_arm(MIXED)) == (300, 200)


def test_a_scene_needs_the_largest_share_of_any_arm():
    assert shares_of(TRUSTED, ARMS) == {"clean": [300], "randomised": [150]}
    assert shares_of(MIXED, ARMS) == {"clean": [50, 150], "randomised": [25, 75]}


def test_an_arm_of_trusted_demonstrations_is_told_what_it_always_was():
    stores = {scene: paths[:1] for scene, paths in STORES.items()}
    told = arm_demonstrations(TRUSTED, ARMS[1], stores=stores)
    assert told == {
        "demonstrations": [Path("clean-trusted"), Path("randomised-trusted")],
        "episodes": 300,
    }


def test_an_arm_of_both_tiers_gets_its_share_of_each_store():
    told = arm_demonstrations(MIXED, ARMS[1], stores=STORES)
    names = ["clean-trusted", "randomised-trusted", "clean-machine", "randomised-machine"]
    assert told == {"demonstrations": [Path(name) for name in names], "episodes": [25, 25, 75, 75]}


def test_all_stores_are_judged_together():
    shares = shares_of(MIXED, ARMS)
    stage, scores = judge_stage(
        JUDGING, stores=STORES, shares=shares, root=Path("data"), seed=0, wandb="disabled"
    )
    assert stage.options["episodes"] == [50, 25, 150, 75]
    assert stage.options["name"] == scores == stage.directory.name
    assert stage.steps == 10
    assert not {"image_size", "horizon"} & set(stage.options)
    other, _ = judge_stage(
        JUDGING, stores=STORES, shares=shares, root=Path("data"), seed=1, wandb="disabled"
    )
    assert other.directory != stage.directory


@pytest.mark.parametrize(
    ("weighting", "told"),
    [
        ("uniform", {}),
        ("oracle", {"weighting": "oracle"}),
        ("dwsl", {"weighting": "dwsl", "scores": ...}),
    ],
)
def test_demonstrations_are_judged_only_where_the_weighting_asks(weighting, told):
    options = {
        "stores": STORES,
        "shares": shares_of(MIXED, ARMS),
        "root": Path("data"),
        "seed": 0,
        "wandb": "disabled",
    }
    judges, found = weights_of(weighting, JUDGING, **options, suffix=" seed 0")
    assert [stage.name for stage in judges] == (["judge seed 0"] if weighting == "dwsl" else [])
    assert found == told | ({"scores": judges[0].options["name"]} if judges else {})


def test_both_tiers_are_collected_one_after_the_other_in_one_bar(monkeypatch):
    asked, moved, progress = [], [], Bars(hidden=True)

    class Store:
        root = Path("store")

    def shown() -> tuple:
        return progress.tasks[0].description, progress.tasks[0].completed, progress.tasks[0].total

    def collect(*, progress: Callable[[int, int], None], **options):
        asked.append(options)
        progress(1, 2)
        moved.append(shown())
        return Store()

    monkeypatch.setattr(mixture, "collect_demonstrations", collect)
    how = {
        "task": "pick",
        "image_size": 32,
        "root": Path("data"),
        "workers": 1,
        "progress": progress,
    }
    assert collect_scenes(MIXED, shares={"clean": [50, 150]}, **how) == {
        "clean": [Path("store")] * 2
    }
    assert [
        (options["seed"], options["episodes"], options.get("quality")) for options in asked
    ] == [
        (0, 50, None),
        (1, 150, {"corrupted": 0.6, "kinds": {"noisy": 1}}),
    ]
    assert moved == [("collect clean", 1, 200), ("collect clean", 51, 200)]


@pytest.mark.parametrize(
    ("data", "weighting", "says"),
    [
        (
            TRUSTED,
            "dwsl",
            "got weighting=dwsl where all demonstrations are trusted; add data=mixed",
        ),
        (MIXED, "best", "got weighting 'best', expected one of uniform"),
        (
            MIXED | {"quality": QUALITY | {"seed": 0}},
            "uniform",
            "got data.quality.seed=0, expected another than data.seed",
        ),
        (MIXED | {"quality": QUALITY | {"corrupted": 2}}, "uniform", "got quality.corrupted=2"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(data, weighting, says):
    with pytest.raises(InputError, match=says):
        check_data(data, task="pick", weightings=["uniform", weighting], judging=JUDGING)


def test_what_cannot_judge_is_refused_only_where_it_would_judge():
    wrong = JUDGING | {"folds": 1}
    check_data(MIXED, task="pick", weightings=["oracle"], judging=wrong)
    with pytest.raises(InputError, match="got folds=1"):
        check_data(MIXED, task="pick", weightings=["dwsl"], judging=wrong)
