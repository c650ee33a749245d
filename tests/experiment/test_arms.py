"""Arms of a comparison: which are trained, which only act, and what each sees and learns."""

from __future__ import annotations

import pytest

from robot.experiment.arms import arms_of, trained_arms
from robot.perception.compose.masking import Blur, Overlay, Unmasked
from robot.system.parse import Spec
from robot.train.options import Grounding
from robot.types import InputError
from tests.experiment.toy import AUGMENT, augmentation_of

CLEAN = {"scenes": ["clean"], "steps": 1.0}
ARMS = {
    "masked": {"perception": "learned", **CLEAN},
    "unmasked": {"perception": "none", **CLEAN},
    "augmented": {"perception": "none", **CLEAN, "augment": AUGMENT | {"backgrounds": 0.7}},
    "dropped": {"policy_of": "masked", "faults": [{"name": "dropped", "share": 0.3}]},
}
COMMON = {
    "perception": {"masks": "learned", "deployment": {"name": "overlay"}},
    "augment": AUGMENT,
    "weighting": "uniform",
    "policy": {"kind": "diffusion", "vision": "cnn", "width": 8},
}


def config_of(*compare: str, **arms):
    return {"compare": list(compare), "arms": ARMS | arms, **COMMON}


def names(arms) -> list[str]:
    return [arm.name for arm in arms]


def test_arms_come_in_the_order_of_compare():
    assert names(arms_of(config_of("unmasked", "masked"))) == ["unmasked", "masked"]


def test_without_compare_all_arms_are_compared_as_they_are_listed():
    assert names(arms_of(config_of() | {"compare": None})) == list(ARMS)


def test_an_arm_has_its_section_and_what_is_common():
    (masked,) = arms_of(config_of("masked"))
    assert (masked.perception, masked.scenes, masked.steps) == ("learned", ("clean",), 1.0)
    assert masked.deployment == Overlay()
    assert masked.augment == augmentation_of()
    assert masked.weighting == "uniform"
    assert masked.policy == Spec("diffusion", {"vision": "cnn", "width": 8})
    assert (masked.faults, masked.mask_period, masked.trains) == ((), 1, True)


def test_an_arm_may_weigh_its_demonstrations_in_its_own_way():
    config = config_of(
        "masked", "weighed", weighed={"perception": "oracle", **CLEAN, "weighting": "dwsl"}
    )
    assert [arm.weighting for arm in arms_of(config)] == ["uniform", "dwsl"]
    assert [arm.weighting for arm in arms_of(config | {"weighting": "fixed"})] == ["fixed", "dwsl"]


def test_an_arms_own_policy_options_go_over_the_common_ones():
    tokens = {"perception": "learned", **CLEAN, "policy": {"vision": "tokens"}}
    masked, changed = arms_of(config_of("masked", "tokens", tokens=tokens))
    assert masked.policy.options == {"vision": "cnn", "width": 8}
    assert changed.policy == Spec("diffusion", {"vision": "tokens", "width": 8})


def test_an_arm_may_have_a_deployment_of_its_own():
    blurred = {"perception": "learned", **CLEAN, "deployment": {"name": "blur"}}
    masked, other = arms_of(config_of("masked", "blurred", blurred=blurred))
    assert (masked.deployment, other.deployment) == (Overlay(), Blur())


def test_an_arm_without_masks_sees_the_whole_frame_whatever_the_common_deployment():
    (unmasked,) = arms_of(config_of("unmasked"))
    assert unmasked.deployment == Unmasked()


def test_an_arm_with_broken_masks_acts_with_another_arms_policy():
    config = config_of("masked", "dropped")
    masked, dropped = arms_of(config)
    assert names(trained_arms([masked, dropped], config)) == ["masked"]
    assert (dropped.policy_of, dropped.trains) == ("masked", False)
    assert (dropped.perception, dropped.deployment) == ("learned", masked.deployment)
    assert masked.faults == () and dropped.faults == (Spec("dropped", {"share": 0.3}),)


def test_a_policy_that_only_others_act_with_is_trained_too():
    config = config_of("dropped")
    (trained,) = trained_arms(arms_of(config), config)
    assert (trained.name, trained.faults, trained.trains) == ("masked", (), True)


def test_an_arm_may_ask_for_fresh_masks_more_seldom_than_the_one_it_acts_as():
    config = config_of("masked", "slow", slow={"policy_of": "masked", "mask_period": 4})
    assert [arm.mask_period for arm in arms_of(config)] == [1, 4]


def test_only_an_arm_that_asks_for_backgrounds_pastes_them():
    arms = arms_of(config_of("masked", "unmasked", "augmented"))
    assert [arm.augment.backgrounds for arm in arms] == [0, 0, 0.7]


def without_masks(*compare: str):
    config = config_of(*compare)
    arms = {
        "seeing": {"perception": "none", **CLEAN, "only_masked": True},
        "masked": {"perception": "none", **CLEAN},  # a name like any other
    }
    common = {"masks": "none", "deployment": {"name": "none"}}
    return config | {"compare": list(compare) or None, "arms": arms, "perception": common}


def test_without_masks_only_arms_that_say_so_are_left_out():
    assert names(arms_of(without_masks())) == ["masked"]


def test_an_arm_that_was_left_out_cannot_be_compared():
    with pytest.raises(InputError, match="got arm 'seeing', expected one of masked"):
        arms_of(without_masks("seeing", "masked"))


def test_an_arm_with_masks_is_compared_whatever_it_says():
    config = config_of("masked")
    arms = {"masked": ARMS["masked"] | {"only_masked": True}}
    assert names(arms_of(config | {"arms": arms})) == ["masked"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (config_of(), "expected each arm once and at least one"),
        (config_of("masked", "masked"), "expected each arm once and at least one"),
        (config_of("sonar"), "got arm 'sonar', expected one of masked, unmasked"),
        (config_of("x", x={"policy_of": "sonar"}), "got arm 'sonar'"),
        (
            config_of("x", x={**ARMS["masked"], "fault": []}),
            "got fault for arm x, expected augment, deployment, episodes, faults",
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
            config_of("x", x={"policy_of": "masked", "faults": [{"name": "dropped", "share": 2}]}),
            "got share 2 for a mask fault",
        ),
        (config_of("x", x={"policy_of": "masked", "faults": [{"share": 1}]}), "add its name"),
        (
            config_of("x", x={"policy_of": "masked", "mask_period": 0}),
            "got arms.x.mask_period=0, expected at least 1",
        ),
        (
            config_of("x", x={**CLEAN, "perception": "sonar"}),
            "got arms.x.perception=sonar, expected 'learned', 'oracle' or 'none'",
        ),
        (
            config_of("x", x={**CLEAN, "perception": "none", "steps": 0}),
            "got arms.x.steps=0, expected above 0",
        ),
        (
            config_of("x", x={"perception": "none", "steps": 1, "scenes": []}),
            "got arms.x.scenes",
        ),
        (
            config_of("x", x={**ARMS["augmented"], "perception": "oracle"}),
            "for arm x, which masks its frames",
        ),
        (
            config_of("x", x={**ARMS["masked"], "deployment": {"name": "fog"}}),
            "got deployment 'fog', expected one of overlay",
        ),
        (
            config_of("x", x={**ARMS["masked"], "weighting": "best"}),
            "got weighting 'best', expected one of uniform",
        ),
        (
            config_of("x", x={**ARMS["masked"], "policy": {"kind": "lookup"}}),
            "got policy.kind=lookup, expected one of diffusion, flow, transformer",
        ),
        (
            config_of("x", x={**ARMS["masked"], "policy": {"sight": "cnn"}}),
            r"got sight for arms.x.policy, expected some of vision, width",
        ),
        (config_of("masked") | {"arms": {}}, "expected a section with an arm in it"),
    ],
)
def test_a_malformed_arm_is_refused_with_what_was_expected(config, says):
    with pytest.raises(InputError, match=says):
        arms_of(config)


WHOLE = {"perception": "none", **CLEAN}
MOVED = {"copies": 2, "x_m": [0.4, 0.6], "y_m": [-0.1, 0.1]}


def test_a_grounded_arm_has_its_weight_and_its_steps_on_mask_frames():
    told = WHOLE | {"grounding": {"weight": 0.3, "frame_steps": 9}, "episodes": 2.0}
    (one,) = arms_of(config_of("told", told=told))
    assert one.grounding == Grounding(weight=0.3, frame_steps=9)
    assert one.episodes == 2.0
    (plain,) = arms_of(config_of("unmasked"))
    assert (plain.grounding, plain.episodes, plain.own_head) == (None, 1.0, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"perception": "learned", **CLEAN, "grounding": {"weight": 0.3}},
        WHOLE | {"grounding": {"weight": 0.3}, "augment": AUGMENT | {"backgrounds": 0.7}},
        WHOLE | {"grounding": {"weight": 0.0}},
        WHOLE | {"own_head": {"steps": 10}},
        WHOLE | {"relocate": MOVED},
        {"perception": "learned", **CLEAN, "relocate": MOVED | {"x_m": [0.6, 0.4]}},
        {"perception": "learned", **CLEAN, "relocate": MOVED, "weighting": "dwsl"},
    ],
)
def test_what_an_arm_could_not_learn_is_refused(wrong):
    with pytest.raises(InputError):
        arms_of(config_of("wrong", wrong=wrong))


def test_only_an_arm_without_a_head_of_its_own_shares_one():
    frugal = {"perception": "learned", **CLEAN, "own_head": {"steps": 10}}
    arms = arms_of(config_of("masked", "frugal", "unmasked", frugal=frugal))
    assert [one.shares_head for one in arms] == [True, False, False]
