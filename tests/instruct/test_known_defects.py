"""What the public code of ProVision gets wrong, each as a test that its name describes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import robot.instruct.generators  # noqa: F401  (registers them)
from robot.instruct.build import build_graph
from robot.instruct.registry import MULTI_FRAME, SINGLE_FRAME
from tests.instruct.toy import WORLD, Item, raw_of, views


def graph_of(world):
    return build_graph(raw_of(world))


GRAPH = graph_of(WORLD)


def records(name, graph=GRAPH, seeds=20):
    generate = SINGLE_FRAME.get(name) or MULTI_FRAME[name]
    return [r for seed in range(seeds) for r in generate(graph, np.random.default_rng(seed))]  # type: ignore[operator]


def point(text):
    x, y = text.strip("()").split(", ")
    return int(x), int(y)


def points(text):
    return [point(part) for part in text.replace(" or ", ", ").replace("), (", ");(").split(";")]


@pytest.mark.parametrize(("name", "best"), [("closer_point", min), ("farther_point", max)])
def test_closer_and_farther_points_have_the_sign_of_their_depth(name, best):
    made = records(name)
    assert len(made) > 10
    for r in made:
        depth = {p: GRAPH.depth_m[p[1], p[0]] for p in points(r.slots["candidates"])}
        assert depth[point(r.answer)] == best(depth.values())


@pytest.mark.parametrize("name", ["closer_point", "farther_point"])
def test_points_of_one_depth_are_not_compared(name):
    flat = replace(GRAPH, depth_m=np.full_like(GRAPH.depth_m, 0.7))
    assert records(name, flat) == []


@pytest.mark.parametrize(
    ("name", "same"), [("same_object_point", 1), ("different_object_point", 0)]
)
def test_points_survive_being_written_and_read(name, same):
    thin = {20 + k: Item("cylinder", 0.02 * k - 0.2, 0.0, (0.005, 0.3, 0.1)) for k in range(20)}
    stripes = graph_of(replace(WORLD, items={**WORLD.items, **thin}))
    made = records(name, stripes)
    assert len(made) > 100
    for r in made:
        x, y = point(r.slots["point"])
        for candidate in points(r.slots["candidates"]):
            alike = stripes.id_map[candidate[1], candidate[0]] == stripes.id_map[y, x]
            assert alike == ((candidate == point(r.answer)) == bool(same))


def test_things_with_an_attribute_are_counted_whatever_other_attributes_they_have():
    both_red = graph_of(WORLD.with_item(11, colour="red", half=(0.07, 0.07, 0.06)))
    counted = {r.slots["objects"]: r.answer for r in records("count_attributed", both_red)}
    assert counted["red cups"] == "2" and counted["medium-sized cups"] == "1"


@pytest.mark.parametrize("name", ["select_has_not_object", "select_has_not_attributed"])
def test_has_not_questions_of_three_images_have_one_right_answer(name):
    worlds = [replace(WORLD, episode=f"toy-{k}") for k in range(3)]
    graphs = [graph_of(w) for w in (worlds[0], worlds[1].without(13), worlds[2].without(12))]
    lacking = {"yellow cube": {1}, "cube": {1}, "block": {1}, "small cube": {1}}
    made = records(name, graphs)
    assert made
    for r in made:
        noun = r.slots["an_object"].split(" ", 1)[1]
        assert r.answer in ("image 2", "image 3")
        if noun in lacking:
            assert r.answer == "image 2"
    nowhere_single = [
        graph_of(w) for w in (worlds[0], worlds[1].without(13), worlds[2].without(13))
    ]
    assert not [r for r in records(name, nowhere_single) if "cube" in r.slots["an_object"]]


@pytest.mark.parametrize("name", MULTI_FRAME)
def test_questions_about_several_images_end_where_nothing_fits(name):
    empty = graph_of(replace(WORLD, items={1: WORLD.items[1]}, goal=None))
    made = records(name, [empty] * 3, seeds=3)
    assert {r.answer for r in made} <= {"0"}  # of what is nowhere, there are none together


def test_no_question_has_more_than_four_options():
    graphs = [graph_of(w) for w in views()]
    single = [r for name in SINGLE_FRAME for r in records(name, seeds=3)]
    multi = [r for name in MULTI_FRAME for r in records(name, graphs, seeds=3)]
    assert {len(r.options) for r in single + multi} <= {0, 2, 3, 4}
    assert any(r.options for r in records("relation_question"))


def test_nothing_is_counted_as_zero():
    zeros = [r for r in records("count_objects") if r.answer == "0"]
    assert zeros and all(r.answer_mask == () for r in zeros)


def test_absent_things_are_asked_for_as_often_and_have_an_empty_mask():
    made = records("exists_yes_no", seeds=200)
    no = [r for r in made if r.answer == "no"]
    assert 0.4 < len(no) / len(made) < 0.6
    assert all((r.answer_mask == ()) == (r.answer == "no") for r in made)
