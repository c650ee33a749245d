"""Spaces as data: their pairs of inverses, and what is said of robots that differ."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from robot.spaces import (
    Camera,
    Spaces,
    Vector,
    another_robot,
    check_spaces,
    differences,
    hold_still,
    outside,
)
from robot.types import InputError
from tests.robots import other_arm, panda

PANDA = panda(agentview=(128, 128), wrist=(128, 128))
ARM = other_arm(front=(48, 64), wrist=(32, 32), side=(48, 64))


def said(made_for: Spaces, here: Spaces, *, exact: bool = False) -> str:
    return "; ".join(differences(made_for, here, exact=exact))


def with_state(spaces: Spaces, **changes) -> Spaces:
    return replace(spaces, state=replace(spaces.state, **changes))


@pytest.mark.parametrize("spaces", [PANDA, ARM])
def test_spaces_survive_json(spaces):
    assert Spaces.from_json(json.loads(json.dumps(spaces.to_json()))) == spaces


def test_a_value_without_bounds_is_null_in_json():
    assert ARM.to_json()["state"]["high"][5:8] == [None] * 3
    assert Spaces.from_json(ARM.to_json()).state.low[5] == -math.inf


def test_flatten_follows_the_order_of_the_groups_and_unflatten_inverts_it():
    grouped = {"gripper": np.array([9.0]), "force": np.full(3, 2.0), "joints": np.arange(5.0)}
    vector = ARM.state.flatten(grouped)
    assert vector.tolist() == [0, 1, 2, 3, 4, 2, 2, 2, 9] and vector.dtype == np.float32
    back = ARM.state.unflatten(vector)
    assert list(back) == ["joints", "force", "gripper"]
    for name, values in grouped.items():
        np.testing.assert_array_equal(back[name], values)


def test_unflatten_cuts_the_last_axis_of_many_vectors():
    assert ARM.state.unflatten(np.zeros((7, 9)))["force"].shape == (7, 3)


@pytest.mark.parametrize("change", [{"force": np.zeros(2)}, {"torque": np.zeros(3)}])
def test_flatten_refuses_what_the_space_does_not_declare(change):
    grouped = ARM.state.unflatten(np.zeros(9, np.float32)) | change
    with pytest.raises(InputError, match="got values of shapes"):
        ARM.state.flatten(grouped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": ("m",)}, "one of each per name"),
        ({"groups": (("a", 1), ("b", 2))}, "groups that add up"),
        ({"names": ("a", "a")}, "each name once"),
        ({"low": (0.0, 1.0)}, "expected low < high"),
    ],
)
def test_a_vector_that_contradicts_itself_is_refused(change, message):
    fields = {
        "names": ("a", "b"),
        "units": ("m", "m"),
        "low": (0.0, 0.0),
        "high": (1.0, 1.0),
        "groups": (("a", 1), ("b", 1)),
        "relative": (False, False),
    }
    Vector(**fields)
    with pytest.raises(InputError, match=message):
        Vector(**fields | change)


def test_a_camera_named_twice_is_refused():
    with pytest.raises(InputError, match="expected each camera once"):
        replace(PANDA, cameras=(Camera("a", 8, 8), Camera("a", 9, 9)))


def test_the_same_spaces_differ_in_nothing():
    assert differences(PANDA, Spaces.from_json(PANDA.to_json()), exact=True) == []


def test_bounds_that_went_through_float32_are_the_same():
    high = tuple(float(np.float32(x)) for x in PANDA.action.high)
    assert (
        differences(PANDA, replace(PANDA, action=replace(PANDA.action, high=high)), exact=True)
        == []
    )


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        ({"wrist": (128, 128), "agentview": (128, 128)}, "cameras in the order wrist, agentview"),
        ({"agentview": (128, 128)}, "no camera wrist"),
        ({"agentview": (128, 128), "front": (128, 128)}, "no camera wrist; unknown camera front"),
        (
            {"agentview": (128, 128), "wrist": (128, 128), "side": (64, 64)},
            "unknown camera side; expected agentview, wrist",
        ),
        (
            {"agentview": (128, 128), "wrist": (96, 128)},
            "camera wrist of 128x96 px, expected 128x128 px or larger at the same aspect ratio",
        ),
        ({"agentview": (64, 64), "wrist": (128, 128)}, "camera agentview of 64x64 px, expected 12"),
    ],
)
def test_cameras_that_differ_are_named(cameras, message):
    assert message in said(PANDA, panda(**cameras))


def test_larger_frames_of_the_same_aspect_ratio_fit_a_policy_and_no_dataset():
    larger = panda(agentview=(256, 256), wrist=(200, 200))
    assert said(PANDA, larger) == ""
    assert "camera agentview of 256x256 px, expected 128x128 px" in said(PANDA, larger, exact=True)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        (replace(PANDA, control_dt_s=0.1), "control_dt_s 0.1 s, expected 0.05 s"),
        (replace(PANDA, state=ARM.state), "no state value ee_position_x"),
        (
            with_state(PANDA, names=(*PANDA.state.names[:8], "gripper_opening", "ee_rotation_5")),
            "state values in the order ee_position_x",
        ),
        (
            with_state(PANDA, units=("mm", *PANDA.state.units[1:])),
            "state ee_position_x unit mm, expected m",
        ),
        (
            replace(PANDA, action=replace(PANDA.action, high=(0.1, *PANDA.action.high[1:]))),
            "action delta_x high 0.1, expected 0.05",
        ),
        (
            replace(PANDA, action=replace(PANDA.action, relative=(False,) * 7)),
            "action delta_x relative False, expected True",
        ),
    ],
)
def test_names_order_units_bounds_and_period_that_differ_are_named(here, message):
    with pytest.raises(InputError, match="got a robot that differs: .*Retrain"):
        check_spaces(PANDA, here, what="a robot", remedy="Retrain")
    assert message in said(PANDA, here)


def test_another_robot_of_the_same_spaces_fits_a_policy_and_no_dataset():
    here = replace(PANDA, robot_type="ur5e")
    assert said(PANDA, here) == ""
    assert said(PANDA, here, exact=True) == "robot ur5e, expected panda"


def test_holding_still_changes_nothing_and_opens_the_gripper():
    state = np.full(9, 0.3, np.float32)
    assert hold_still(ARM, state).tolist() == [0, 0, 0, 0, 0, 1]


def absolute(names: tuple[str, ...]) -> Spaces:
    action = replace(ARM.action, names=(*names, "gripper_target"), relative=(False,) * 6)
    return replace(ARM, action=action)


def test_targets_hold_still_at_the_state_of_the_same_name():
    state = np.arange(9, dtype=np.float32)
    assert hold_still(absolute(ARM.state.names[:5]), state).tolist() == [0, 1, 2, 3, 4, 1]


def test_targets_without_a_state_of_that_name_cannot_hold_still():
    names = ("elbow", *ARM.state.names[:4])
    with pytest.raises(InputError, match="no way to hold still: elbow are targets"):
        hold_still(absolute(names), np.zeros(9, np.float32))


def test_a_value_is_outside_when_it_is_half_ranges_beyond_the_range():
    low, high = np.zeros(4), np.full(4, 2.0)
    values = np.array([2.0, 4.9, 5.1, -3.1], np.float32)
    assert outside(values, low=low, high=high, half_ranges=3).tolist() == [False, False, True, True]


def test_a_policy_of_another_robot_with_the_same_spaces_is_noted():
    panda_ = panda(front=(8, 8))
    here = replace(panda_, robot_type="ur5e")
    check_spaces(panda_, here, what="a robot", remedy="")  # it fits
    note = another_robot(panda_, here)
    assert note is not None and "learned on robot panda, and this one is ur5e" in note
    assert another_robot(panda_, panda_) is None
    assert another_robot(panda_, replace(panda_, robot_type="franka_panda")) is None  # its driver
    assert another_robot(panda_, replace(panda_, robot_type="unknown")) is None
