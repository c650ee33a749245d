"""The critically damped reference: closed forms, and what training expects of an arm."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robot.hardware.reference import OSC_STIFFNESS, Reference, advance, keep_near

REST = Reference.at_rest(np.zeros(3), np.eye(3))
GOAL = {"goal_position": np.array([0.1, 0.0, 0.0]), "goal_rotation": np.eye(3)}


def test_it_follows_the_closed_form_of_a_critically_damped_spring():
    t, rate = 0.05, math.sqrt(150.0)
    moved = advance(REST, **GOAL, stiffness=150.0, dt_s=t)
    expected = 0.1 * (1 - math.exp(-rate * t) * (1 + rate * t))
    assert moved.position == pytest.approx([expected, 0, 0])
    assert moved.linear == pytest.approx([0.1 * rate**2 * t * math.exp(-rate * t), 0, 0])


def test_many_short_steps_lead_where_one_long_one_does():
    steps = REST
    for _ in range(100):
        steps = advance(steps, **GOAL, stiffness=150.0, dt_s=0.002)
    once = advance(REST, **GOAL, stiffness=150.0, dt_s=0.2)
    assert steps.position == pytest.approx(once.position)
    assert steps.linear == pytest.approx(once.linear)


@pytest.mark.parametrize("dt_s", [0.001, 0.05, 5.0])
def test_it_never_overshoots_and_arrives(dt_s):
    reference, xs = REST, []
    for _ in range(round(5.0 / dt_s)):
        reference = advance(reference, **GOAL, stiffness=150.0, dt_s=dt_s)
        xs.append(reference.position[0])
    assert max(xs) <= 0.1 + 1e-12
    assert xs[-1] == pytest.approx(0.1, abs=1e-6)


def test_a_goal_that_leads_by_20_mm_moves_it_by_a_quarter_of_that_per_control_step():
    reference, xs = REST, []
    for _ in range(40):
        goal = reference.position + [0.02, 0, 0]
        for _ in range(10):
            reference = advance(
                reference,
                goal_position=goal,
                goal_rotation=np.eye(3),
                stiffness=OSC_STIFFNESS,
                dt_s=0.005,
            )
        xs.append(reference.position[0])
    assert xs[-1] - xs[-2] == pytest.approx(0.0053, abs=0.0002)


def test_it_turns_about_the_axis_between_the_orientations():
    goal = Rotation.from_rotvec([0.0, 0.0, 0.6]).as_matrix()
    moved = REST
    for _ in range(20):
        moved = advance(
            moved, goal_position=np.zeros(3), goal_rotation=goal, stiffness=150.0, dt_s=0.01
        )
    turned = Rotation.from_matrix(moved.rotation).as_rotvec()
    assert turned[:2] == pytest.approx([0, 0], abs=1e-9)
    assert 0.3 < turned[2] < 0.6
    assert moved.angular[2] > 0


def test_it_stays_within_reach_of_the_measured_pose():
    reference = advance(REST, **GOAL, stiffness=150.0, dt_s=1.0)
    near = keep_near(
        reference, position=np.zeros(3), rotation=np.eye(3), reach_m=0.015, reach_rad=0.05
    )
    assert near.position == pytest.approx([0.015, 0, 0])
    turned = Reference.at_rest(np.zeros(3), Rotation.from_rotvec([0.2, 0, 0]).as_matrix())
    near = keep_near(turned, position=np.zeros(3), rotation=np.eye(3), reach_m=1, reach_rad=0.05)
    assert Rotation.from_matrix(near.rotation).as_rotvec() == pytest.approx([0.05, 0, 0])


def test_within_reach_nothing_changes():
    near = keep_near(
        REST, position=np.full(3, 0.001), rotation=np.eye(3), reach_m=0.015, reach_rad=0.05
    )
    assert near.position == pytest.approx([0, 0, 0], abs=1e-12)
