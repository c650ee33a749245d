"""Faults of machine labels, on a 20 x 20 map: a 4 x 4 target, a 2 x 2 destination, a
gripper row.
"""

from __future__ import annotations

import numpy as np
import pytest

from robot.perception.head.label_faults import (
    FAULTS,
    dilated,
    empty,
    eroded,
    shifted,
    whole,
    with_fault,
    wrong_object,
)
from robot.types import Label


def label(side: int = 20) -> np.ndarray:
    labels = np.zeros((side, side), np.uint8)
    labels[0] = Label.GRIPPER
    labels[8:12, 8:12] = Label.TARGET
    labels[16:18, 2:4] = Label.DESTINATION
    return labels


def area(labels: np.ndarray, role: Label = Label.TARGET) -> int:
    return int((labels == role).sum())


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_gripper_and_destination_stay_and_the_input_is_left_alone(fault):
    before, other = label(), np.roll(label(), 6, axis=1)
    faulty = fault(before, other, rng())
    assert area(faulty, Label.GRIPPER) == 20 and area(faulty, Label.DESTINATION) <= 4
    np.testing.assert_array_equal(before, label())


def test_a_shifted_target_keeps_its_size_inside_the_frame():
    moved = shifted(label(), None, rng())
    assert area(moved) == 16 and not (moved == label()).all()


def test_a_dilated_target_holds_the_old_one_and_more():
    grown = dilated(label(), None, rng())
    assert (grown[label() == Label.TARGET] == Label.TARGET).all() and area(grown) > 16


def test_an_eroded_target_is_a_part_of_the_old_one():
    less = eroded(label(), None, rng())
    assert (label()[less == Label.TARGET] == Label.TARGET).all() and area(less) < 16


def test_a_wrong_object_is_the_other_goals_target():
    other = np.zeros((20, 20), np.uint8)
    other[2:4, 2:4] = Label.TARGET
    wrong = wrong_object(label(), other, rng())
    assert area(wrong) == 4 and (wrong[2:4, 2:4] == Label.TARGET).all()


def test_an_empty_label_has_no_target():
    assert area(empty(label(), None, rng())) == 0


def test_a_whole_label_leaves_no_background():
    assert area(whole(label(), None, rng()), Label.BACKGROUND) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_fault_always_changes_something_even_where_there_is_no_target(seed):
    for before in (label(), np.zeros((20, 20), np.uint8)):
        assert (with_fault(before, None, np.random.default_rng(seed)) != before).any()
