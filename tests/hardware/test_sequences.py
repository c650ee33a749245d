"""No sequence of commands, states and times takes what is sent beyond any limit.

The slow one is `python -m tests.hardware.sequences 100000` in small.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot.hardware.arm import Command
from robot.hardware.holding import Seen
from robot.hardware.kinematics import rotation_matrix
from robot.types import MaskStatus
from tests.hardware.arms import DT_S, GANTRY_JOINTS
from tests.hardware.sequences import (
    VARIANTS,
    Event,
    Sent,
    Sequence,
    check,
    draw,
    exceeded,
    run,
    run_many,
)

ANY = st.floats(allow_nan=True, allow_infinity=True)
NEARBY = st.floats(-2.0, 2.0)
TIMES = st.sampled_from([DT_S] * 6 + [0.0, 0.001, 0.02, 0.045, 0.055, 0.07, 0.1, 1.0, -0.5])


def joints() -> st.SearchStrategy[np.ndarray]:
    ranges = zip(GANTRY_JOINTS.low.tolist(), GANTRY_JOINTS.high.tolist(), strict=True)
    return st.tuples(*(st.floats(low, high) for low, high in ranges)).map(np.array)


def commands() -> st.SearchStrategy[Command]:
    position = st.tuples(*[NEARBY] * 3) | st.tuples(*[ANY] * 3)
    rotation = st.tuples(*[st.floats(-4.0, 4.0)] * 3).map(lambda v: rotation_matrix(np.array(v)))
    return st.builds(
        Command,
        ee_position=position.map(np.array),
        ee_rotation=rotation | st.just(np.full((3, 3), math.nan)),
        gripper_target=st.floats(0, 1) | ANY,
        time_s=st.just(math.nan),
    )


def events() -> st.SearchStrategy[Event]:
    return st.builds(
        Event,
        dt_s=TIMES,
        state=st.sampled_from(["follows"] * 4 + ["noisy", "elsewhere", "frozen", "nan", "none"]),
        call=st.sampled_from(["send"] * 10 + ["hold", "stop", "estop", "release"]),
        asked=commands(),
        joints=joints(),
        seen=st.sampled_from([None, None, None, Seen(mask_status=MaskStatus.ABSENT)]),
    )


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    variant=st.sampled_from(VARIANTS),
    start=joints(),
    turns=st.lists(events(), min_size=4, max_size=16),
)
def test_whatever_comes_no_limit_is_left(variant, start, turns):
    sequence = Sequence(kind="gantry", limits=variant, start=start, events=tuple(turns))

    sent, _ = run(sequence)

    assert exceeded(check(sequence, sent)) == {}


def test_random_sequences_of_both_arms_leave_no_limit():
    _, interventions, commands, failed = run_many(range(20))

    assert failed == []
    assert commands > 100 and len(interventions) > 12


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(8))
def test_thousands_of_random_sequences_leave_no_limit(chunk):
    failed = run_many(range(chunk * 500, (chunk + 1) * 500))[3]

    assert failed == []


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"position": (0.02, 0.0, 0.0)}, "jerk m"),
        ({"position": (0.0, 0.0, 0.6)}, "box"),
        ({"position": (0.0, 0.5, 0.0)}, "joint position"),
        ({"turn": (0.0, 0.0, 0.3)}, "acceleration rad"),
        ({"gripper": 0.5}, "gripper"),
    ],
)
def test_the_check_sees_a_command_that_leaves_a_limit(change, limit):
    sequence = replace(draw(np.random.default_rng(0)), kind="gantry", limits=VARIANTS[0])
    at = np.array([0.5, 0.0, 0.3, 0.0, 0.0, 0.0])
    rest = Command(ee_position=at[:3], ee_rotation=np.eye(3), gripper_target=1.0, time_s=math.nan)
    moved = Command(
        ee_position=at[:3] + np.array(change.get("position", (0.0, 0.0, 0.0))),
        ee_rotation=rotation_matrix(np.array(change.get("turn", (0.0, 0.0, 0.0)))),
        gripper_target=change.get("gripper", 1.0),
        time_s=math.nan,
    )
    path = [(100.0, rest, at), (100.05, moved, at)]

    used = check(sequence, Sent(begun=[(99.95, at[:3], np.eye(3), at)], paths=[path]))

    assert limit in exceeded(used)


@pytest.mark.parametrize("seed", [77724, 86026, 93725])
def test_a_long_way_to_rest_is_not_predicted_from_one_jacobian(seed):
    """Braked for a second, the predicted joints once were 12 to 37 mm from what was sent."""
    sequence = draw(np.random.default_rng(seed))
    sent, _ = run(sequence)
    assert check(sequence, sent)["reach"] < 0.5
