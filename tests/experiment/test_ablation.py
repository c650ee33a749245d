"""Arms of an ablation: which are trained, which only act, and what is written about them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from robot.experiment.ablation import arms_of, contenders_of, recipes_to_train, write

from robot.report.statistics import EpisodeResult
from robot.types import InputError

AUGMENT = {"jitter": None, "ring": 0.0, "shift": 1, "drop": 0.0, "noise": 0.0}
CLEAN = {"scenes": ["clean"], "steps": 1.0}
ARMS = {
    "masked": {"perception": "learned", **CLEAN},
    "unmasked": {"perception": "none", **CLEAN},
    "augmented": {"perception": "none", **CLEAN, "augment": AUGMENT | {"backgrounds": 0.7}},
    "dropped": {"policy_of": "masked", "faults": [{"name": "dropped", "share": 0.3}]},
}


def config_of(*compare: str, **arms):
    perception = {"masks": "learned", "deployment": {"name": "overlay"}}
    common = {
        "perception": perception,
        "augment": AUGMENT,
        "weighting": "uniform",
        "policy": {"vision": "cnn"},
    }
    return {"compare": list(compare), "arms": ARMS | arms, **common}


def result(
    arm: str,
    index: int,
    *,
    success: bool,
    scene: str = "clean",
    task: str = "duck_in_pot",
    closed: bool = True,
):
    return EpisodeResult(
        arm=arm,
        task=task,
        scene=scene,
        training_seed=0,
        seed=1000,
        index=index,
        success=success,
        steps=9,
        closed_on_object=closed,
    )


def test_an_arm_may_weigh_its_demonstrations_in_its_own_way():
    config = config_of(
        "masked", "weighed", weighed={"perception": "oracle", **CLEAN, "weighting": "dwsl"}
    )
    assert [c.recipe.weighting for c in contenders_of(config)] == ["uniform", "dwsl"]
    assert [c.recipe.weighting for c in contenders_of(config | {"weighting": "fixed"})] == [
        "fixed",
        "dwsl",
    ]


def test_an_arm_may_change_its_policy():
    config = config_of(
        "masked",
        "tokens",
        tokens={"perception": "learned", **CLEAN, "policy": {"vision": "tokens"}},
    )
    assert [c.recipe.policy for c in contenders_of(config)] == [{}, {"vision": "tokens"}]


def test_arms_come_in_the_order_of_compare():
    assert [c.name for c in contenders_of(config_of("unmasked", "masked"))] == [
        "unmasked",
        "masked",
    ]


def test_an_arm_with_broken_masks_acts_with_another_arms_policy():
    contenders = contenders_of(config_of("masked", "dropped"))
    assert [recipe.name for recipe in recipes_to_train(contenders)] == ["masked"]
    checkpoints = {"policy masked": Path("p"), "mask head": Path("h")}
    arms = arms_of(contenders, checkpoints=checkpoints, seeds=[0], head=None)
    assert [(a.name, a.policy, a.head) for a in arms] == [
        (n, Path("p"), Path("h")) for n in ("masked", "dropped")
    ]
    assert arms[0].faults == () and arms[1].faults == ({"name": "dropped", "share": 0.3},)


def test_a_policy_that_only_others_act_with_is_trained_too():
    assert [r.name for r in recipes_to_train(contenders_of(config_of("dropped")))] == ["masked"]


def test_every_training_seed_is_an_arm_with_checkpoints_of_its_own():
    checkpoints = {f"policy unmasked seed {seed}": Path(f"p{seed}") for seed in (3, 4)}
    arms = arms_of(
        contenders_of(config_of("unmasked")), checkpoints=checkpoints, seeds=[3, 4], head=None
    )
    assert [(a.name, a.training_seed, a.policy) for a in arms] == [
        ("unmasked", 3, Path("p3")),
        ("unmasked", 4, Path("p4")),
    ]


def test_a_given_head_is_that_of_every_learned_mask_and_of_no_other():
    checkpoints = {"policy masked": Path("p"), "policy unmasked": Path("q")}
    arms = arms_of(
        contenders_of(config_of("masked", "unmasked")),
        checkpoints=checkpoints,
        seeds=[0],
        head=Path("given"),
    )
    assert [a.head for a in arms] == [Path("given"), None]


def test_only_an_arm_that_asks_for_backgrounds_pastes_them():
    masked, unmasked, augmented = recipes_to_train(
        contenders_of(config_of("masked", "unmasked", "augmented"))
    )
    assert (masked.pastes, unmasked.pastes, augmented.pastes) == (False, False, True)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (config_of(), "expected each arm once and at least one"),
        (config_of("masked", "masked"), "expected each arm once and at least one"),
        (config_of("sonar"), "got arm 'sonar', expected one of masked, unmasked"),
        (config_of("x", x={"policy_of": "sonar"}), "got arm 'sonar'"),
        (
            config_of("x", x={**ARMS["masked"], "fault": []}),
            "got fault for arm x, expected augment, deployment, faults",
        ),
        (
            config_of("x", x={"policy_of": "masked", "steps": 2}),
            "got steps for arm x beside policy_of=masked",
        ),
        (config_of("x", x={"perception": "none", "steps": 1}), "got no scenes for arm x"),
        (
            config_of("x", x={"policy_of": "unmasked", "faults": [{"name": "dropped"}]}),
            "arm x, which has no masks",
        ),
        (
            config_of("x", x={"policy_of": "masked", "faults": [{"name": "fog"}]}),
            "got mask fault 'fog', expected one of dropped",
        ),
        (
            config_of("x", x={"policy_of": "masked", "faults": [{"name": "dropped", "hue": 1}]}),
            "got hue for mask fault dropped",
        ),
        (
            config_of("x", x={**CLEAN, "perception": "sonar"}),
            "got arms.x.perception=sonar, expected one of learned",
        ),
        (
            config_of("x", x={**CLEAN, "perception": "none", "steps": 0}),
            "steps 0 for arm x, expected a scene and steps above 0",
        ),
        (
            config_of("x", x={**ARMS["augmented"], "perception": "oracle"}),
            "for arm x, which masks its frames",
        ),
    ],
)
def test_arms_that_cannot_be_are_refused(config, says):
    with pytest.raises(InputError, match=says):
        contenders_of(config)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    results = [result("masked", k, success=k < 8) for k in range(10)]
    results += [result("unmasked", k, success=k < 2) for k in range(10)]
    results += [
        result(arm, k, success=False, scene="absent", closed=k < 4)
        for arm in ("masked", "unmasked")
        for k in range(10)
    ]
    how = {
        "title": "t",
        "summary": "s",
        "arm": "masked",
        "headline_scene": "clean",
        "logs": {},
        "config_yaml": "a: 1",
    }
    return run, write(run, results, stage_s={}, seeds="0", **how)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_are_a_spreadsheet_with_intervals(written):
    first = rows(written[0] / "cells.csv")[0]
    assert (first["arm"], first["scene"], first["success_rate"]) == ("masked", "clean", "0.8")
    assert float(first["wilson95_low"]) == pytest.approx(
        0.490, abs=1e-3
    )  # Wilson's interval of 8 of 10: .490 to .943
    assert float(first["wilson95_high"]) == pytest.approx(0.943, abs=1e-3)


def test_differences_are_between_paired_episodes(written):
    clean = next(row for row in rows(written[0] / "differences.csv") if row["scene"] == "clean")
    assert (clean["arm"], clean["baseline"], clean["episodes"]) == ("masked", "unmasked", "10")
    assert float(clean["difference"]) == pytest.approx(0.6)
    assert float(clean["p_value"]) == 2 / 2**6  # McNemar: six pairs differ, all in one direction


def test_the_page_and_the_figure_are_there(written):
    run, _ = written
    page = (run / "report.html").read_text()
    assert "In “clean”, “masked” beats “unmasked”" in page and "Beside the paper" in page
    assert "<svg" in (run / "success.svg").read_text()


def test_where_nothing_can_succeed_the_share_that_took_nothing_is_told(written):
    run, found = written
    absent = next(row for row in rows(run / "cells.csv") if row["scene"] == "absent")
    assert absent["took_nothing_rate"] == "0.6"
    assert "took nothing 60% (31–83)" in (run / "report.html").read_text()
