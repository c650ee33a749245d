"""The simulator's labels in the reader's words, by hand-made scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot.data.scene_looks import SeenObject
from robot.perception.regions.truth import true_pairs, true_regions
from robot.perception.regions.vocabulary import vocabulary

CUP = SeenObject(
    body="cup_0",
    shape="cup",
    colour="red",
    rgb=(0.8, 0.1, 0.1),
    radius_m=0.032,
    height_m=0.066,
    position_m=(0.0, -0.1, 0.801),
    quaternion=(1.0, 0.0, 0.0, 0.0),
)
PAN = replace(
    CUP, body="pan_0", shape="pan", colour="blue", radius_m=0.07, position_m=(0, 0.1, 0.8)
)
LYING = (0.7071, 0.0, 0.7071, 0.0)


def scene(*objects: SeenObject):
    """Lay the objects side by side, 6 x 6 px each, the last column of each its second part."""
    instances, parts = np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
    parts[:] = 1  # a table behind
    for k in range(len(objects)):
        instances[4:10, 7 * k : 7 * k + 6] = 2 + k
        parts[4:10, 7 * k : 7 * k + 6] = 1
        parts[4:10, 7 * k + 4 : 7 * k + 6] = 2
    return instances, parts


def relation(objects, name: str, one: int = 0, other: int = 1) -> float:
    regions = true_regions(*scene(*objects), objects)
    things = [k for k, r in enumerate(regions) if r.granularity == "object"]
    relations, _ = true_pairs(regions, objects)
    column = list(vocabulary().relations).index(name)
    return float(relations[things[one], things[other], column])


def test_things_parts_and_surfaces_are_regions():
    regions = true_regions(*scene(CUP, PAN), (CUP, PAN))
    said = [(r.granularity, r.words["names"], r.part, int(r.mask.sum())) for r in regions]
    assert said == [
        ("object", "cup", "whole", 36),
        ("object", "pan", "whole", 36),
        ("part", "pan", "body", 24),
        ("part", "pan", "handle", 12),
        ("scene", "table", "whole", 24 * 24 - 72),
    ]
    assert regions[0].words["colours"] == "red" and not regions[0].held_out
    assert regions[1].held_out  # a blue pan


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "upright"),
        ({"quaternion": LYING, "position_m": (0.0, 0.0, 0.832)}, "lying"),
        ({"position_m": (0.0, 0.0, 0.9)}, "held"),
        ({"quaternion": LYING, "position_m": (0.0, 0.0, 0.95)}, "held"),
    ],
)
def test_states(changes, state):
    cup = replace(CUP, **changes)
    assert true_regions(*scene(cup), (cup,))[0].words["states"] == state


@pytest.mark.parametrize(("longest", "size"), [(0.05, "small"), (0.08, "medium"), (0.12, "large")])
def test_sizes(longest, size):
    cup = replace(CUP, radius_m=0.02, height_m=longest)
    assert true_regions(*scene(cup), (cup,))[0].words["sizes"] == size


def test_a_patterned_thing_has_no_colour_of_its_own():
    cup = replace(CUP, patterned=True)
    words = true_regions(*scene(cup), (cup,))[0].words
    assert (words["colours"], words["materials"]) == (None, "patterned")


def test_sides_are_those_that_the_camera_in_front_sees():
    """The pan lies 20 cm to the right, which is +y; in front is +x."""
    assert relation((CUP, PAN), "left") == 1.0 and relation((CUP, PAN), "right") == 0.0
    assert relation((CUP, PAN), "right", 1, 0) == 1.0
    near = replace(CUP, position_m=(0.15, 0.1, 0.8))
    assert relation((near, PAN), "front") == 1.0 and relation((near, PAN), "behind") == 0.0


def test_a_diagonal_is_a_matter_of_taste():
    across = replace(CUP, position_m=(0.1, 0.0, 0.8))
    assert np.isnan(relation((across, PAN), "left"))


def test_what_lies_in_a_receptacle_is_on_it():
    inside = replace(CUP, position_m=(0.0, 0.1, 0.801))
    assert relation((inside, PAN), "inside") == 1.0
    assert relation((inside, PAN), "inside", 1, 0) == 0.0  # the pan is not in the cup
    assert relation((CUP, PAN), "inside") == 0.0
    held = replace(CUP, position_m=(0.0, 0.1, 0.95))
    assert relation((held, PAN), "inside") == 0.0


def test_next_to_has_a_gap_in_between():
    for gap, value in ((0.02, 1.0), (0.08, 0.0)):
        beside = replace(CUP, position_m=(0.0, 0.1 - 0.07 - 0.032 - gap, 0.8))
        assert relation((beside, PAN), "near") == value


def test_a_handle_is_part_of_its_pan_alone():
    other = replace(PAN, body="pan_1")
    objects = (PAN, other)
    regions = true_regions(*scene(*objects), objects)
    relations, offsets = true_pairs(regions, objects)
    column = list(vocabulary().relations).index("part")
    handle = next(k for k, r in enumerate(regions) if r.part == "handle" and r.thing == 0)
    pans = [k for k, r in enumerate(regions) if r.granularity == "object"]
    assert relations[handle, pans, column].tolist() == [1.0, 0.0]
    assert np.isnan(offsets[handle]).all() and offsets[pans[0], pans[1]].tolist() == [0, 0, 0]
