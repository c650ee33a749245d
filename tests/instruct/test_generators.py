"""Facts about all generators, over worlds whose truth the verifier derives from arrays."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import robot.instruct
import robot.instruct.generators
from robot.instruct.build import build_graph
from robot.instruct.records import drawn
from robot.instruct.registry import MULTI_FRAME, OVER, SINGLE_FRAME
from robot.instruct.verify import disagreement, truth_of
from robot.instruct.wording import patterns, templates
from tests.instruct.toy import HAND, WORLD, Item, World, episode, raw_of, reached, views

PACKAGE = Path(robot.instruct.__file__).parent
ALL = {**SINGLE_FRAME, **MULTI_FRAME}
SEEDS = 2


def mirrored(world: World) -> World:
    """Return the world with everything on the other side: left is right, near is far."""
    items = {
        i: item if i in (1, HAND) else replace(item, x=-item.x, y=-item.y)
        for i, item in world.items.items()
    }
    return replace(world, items=items)


def repainted(world: World) -> World:
    """Return the world with other colours, materials and sizes."""
    turn = {"red": "green", "blue": "yellow", "green": "red", "yellow": "blue"}
    items = {}
    for i, item in world.items.items():
        changed = replace(item, colour=turn.get(item.colour or ""), material="metal")
        items[i] = changed if item.kind in ("object", "receptacle") else item
    return replace(world, items=items)


def renamed(world: World) -> World:
    """Return the world in which things of the same shape are of other classes."""
    turn = {"cup": "bowl", "ball": "cube", "cube": "ball", "plate": "pan", "bowl": "cup"}
    items = {i: replace(item, cls=turn.get(item.cls, item.cls)) for i, item in world.items.items()}
    return replace(world, items=items)


def heights(world: World) -> World:
    """Return the world with low things high and high things low."""
    change = {10: 0.12, 11: 0.02, 12: 0.07, 13: 0.02}
    for i, half in change.items():
        if i not in world.items:
            continue
        world = world.with_item(i, half=(*world.items[i].half[:2], half))
    return world


def blocked(world: World) -> World:
    return world.with_item(13, x=-0.01, y=0.05) if 13 in world.items else world


def held(world: World) -> World:
    return world.holding(12)


def opened(world: World) -> World:
    return replace(world.with_item(15, opening=1.0), hand_opening=0.0)


def covered(world: World) -> World:
    return world.with_item(HAND, x=-0.06, y=0.037)


def more(world: World) -> World:
    twin = Item("ball", 0.1, 0.3, colour="green", half=(0.03, 0.03, 0.03), material="wood")
    return replace(world, items={**world.items, 16: twin, 17: replace(twin, x=0.0, y=-0.2)})


def inside_out(world: World) -> World:
    return replace(world, inside_out=True)


def cup_moved(world: World) -> World:
    """Return the world in which the cup was moved instead of the ball."""
    ball, cup = WORLD.items[12], WORLD.items[10]
    return world.with_item(12, x=ball.x, y=ball.y, bottom=0.0).with_item(10, x=cup.x + 0.1)


EDITS = (mirrored, repainted, renamed, heights, blocked, held, opened, covered, more, inside_out)
EDITS = (*EDITS, reached)  # of a world


def same(world):
    return world


def last_of(edit):
    return lambda worlds: [*worlds[:-1], edit(worlds[-1])]


def all_of(edit):
    return lambda worlds: [edit(world) for world in worlds]


def turned(worlds):
    """Return the images in the other order: the states change places, the times do not."""
    return worlds[::-1]


def delayed(worlds):
    """Return a sequence in which everything happens one image later."""
    return [worlds[0], *worlds[:-1]]


SEQUENCE_EDITS = (turned, delayed, last_of(repainted), last_of(renamed), last_of(cup_moved))
SEQUENCE_EDITS = (*SEQUENCE_EDITS, all_of(repainted), all_of(mirrored), last_of(more))


@cache
def sequences() -> dict[str, list[list[World]]]:
    """Return what multi-frame generators are asked about."""
    other = replace(more(repainted(WORLD)), episode="toy-1").without(13)
    third = replace(mirrored(WORLD).without(11), episode="toy-2")
    times = episode()
    door = [replace(opened(WORLD) if k == 2 else WORLD, frame=k) for k in range(4)]
    hidden = [WORLD, replace(WORLD, frame=5), replace(covered(WORLD), frame=9)]
    hidden.append(replace(hidden[-1], frame=12))
    return {
        "episodes": [[WORLD, other], [WORLD, other, third]],
        "views": [views()],
        "times": [times, times[:2], times[::3], times[1:3], door, hidden],
    }


@cache
def inputs_of(name, edit) -> list:
    if name in SINGLE_FRAME:
        return [[edit(world)] for world in (WORLD, *episode()[1:], more(WORLD))]
    found = []
    for worlds in (worlds for over in OVER[name] for worlds in sequences()[over]):
        try:
            changed = edit(worlds)
        except KeyError:  # of a thing that is not there
            changed = worlds
        kept = [(old.frame, old.episode) for old in worlds]
        found.append(
            [replace(w, frame=f, episode=e) for w, (f, e) in zip(changed, kept, strict=True)]
        )
    return found


_seen: dict = {}


def raw_and_graph(world: World):
    if (key := repr(world)) not in _seen:
        raw = raw_of(world)
        _seen[key] = raw, build_graph(raw)
    return _seen[key]


def raws_and_graphs(worlds):
    return zip(*map(raw_and_graph, worlds), strict=True)


def runs(name, edit=same, seeds=range(SEEDS)):
    """Yield (which input, record, raws, graphs) of a generator over all its inputs and seeds."""
    inputs = inputs_of(name, edit)
    for number, worlds in enumerate(inputs):
        raws, graphs = raws_and_graphs(worlds)
        for seed in seeds:
            given = graphs[0] if name in SINGLE_FRAME else list(graphs)
            for record in ALL[name](given, np.random.default_rng(seed)):
                yield number, record, raws, graphs


def check(record, raws, graphs) -> str:
    ids = [graphs[k].id_map for k in record.frames]
    return disagreement(
        record,
        [raws[k] for k in record.frames],
        answer_masks=drawn(record.answer_mask, record.answer_points, id_maps=ids),
        relevance_masks=drawn(record.relevance_mask, record.answer_points, id_maps=ids),
    )


def test_all_generators_are_there():
    assert len(SINGLE_FRAME) >= 36 and len(MULTI_FRAME) >= 28
    assert set(patterns()) == set(ALL)


def test_every_generator_has_twenty_wordings_and_all_have_two_thousand():
    counts = {name: len(set(templates(name))) for name in ALL}
    assert min(counts.values()) >= 20 and sum(counts.values()) >= 2000


@pytest.mark.parametrize("name", ALL)
def test_every_record_agrees_with_the_verifier(name):
    made = list(runs(name))
    assert made
    assert [d for _, *run in made if (d := check(*run))] == []


SPLIT = ("same_object_point", "different_object_point")  # have tests of their own, below
ORDER = "temporal_order"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name not in (*SPLIT, ORDER)])
def test_the_answer_changes_when_the_state_changes_the_truth(name):
    edits = EDITS if name in SINGLE_FRAME else SEQUENCE_EDITS
    batches = [range(SEEDS * k, SEEDS * (k + 1)) for k in range(10)]
    assert any(_changed(name, edit, seeds) for seeds in batches for edit in edits)


def _changed(name, edit, seeds) -> int:
    """Return how many questions have another answer after the edit; all have to be right."""
    before, changed = defaultdict(set), 0
    for number, record, _, _ in runs(name, seeds=seeds):
        before[_question(number, record)].add(record.answer)
    for number, record, raws, _ in runs(name, edit, seeds):
        truth = truth_of(record, [raws[k] for k in record.frames])
        was = before.get(_question(number, record), set())
        assert truth.right(record.answer)
        changed += any(not _right(truth, answer) for answer in was)
    return changed


def _question(number, record):
    return number, json.dumps(dict(record.slots)), record.frames


def test_shown_in_another_order_the_images_are_sorted_by_another_answer():
    answers = {r.frames: r.answer for _, r, _, _ in runs(ORDER, seeds=range(30))}
    for frames, answer in answers.items():
        order = [frames.index(k) + 1 for k in sorted(frames)]
        assert answer == ", ".join(f"image {k}" for k in order)
    assert len(set(answers.values())) > 2


@pytest.mark.parametrize("name", SPLIT)
def test_points_change_sides_with_the_things_below_them(name):
    side = Item("cube", 0.0, 0.0, (0.02, 0.045, 0.001))  # 4 x 9 pixels, then 9 x 4
    worlds = []
    for x, y, half in ((0.022, 0.0, side.half), (0.0, 0.022, (0.045, 0.02, 0.001))):
        one, two = replace(side, x=x, y=y, half=half), replace(side, x=-x, y=-y, half=half)
        worlds.append(replace(WORLD, items={20: one, 21: replace(two, cls="ball")}, goal=None))
    answers: list[dict] = [{}, {}]
    for world, found in zip(worlds, answers, strict=True):
        raw, graph = raw_and_graph(world)
        for seed in range(1000):
            for record in SINGLE_FRAME[name](graph, np.random.default_rng(seed)):
                if len(record.slots["candidates"].split("(")) == 3:
                    found[record.slots["point"], record.slots["candidates"]] = record.answer
    common = answers[0].keys() & answers[1].keys()
    assert any(answers[0][q] != answers[1][q] for q in common)


def _right(truth, answer):
    try:
        return truth.right(answer)
    except (ValueError, LookupError):
        return False


@pytest.mark.parametrize("name", ALL)
def test_a_false_answer_and_a_false_mask_are_found(name):
    _, record, raws, graphs = next(run for run in runs(name) if run[1].answer)
    other = {"yes": "no", "no": "yes", "open": "closed", "closed": "open"}
    false = other.get(record.answer) or ("image 9" if "image" in record.answer else "7 lemons")
    assert check(replace(record, answer=false, options=()), raws, graphs)
    hand = ((0, HAND), (0, 1))
    assert check(replace(record, answer_mask=(*record.answer_mask, *hand)), raws, graphs)
    assert check(replace(record, question=record.question + " "), raws, graphs)


@pytest.mark.parametrize("name", ALL)
def test_a_seed_says_everything(name):
    def made():
        return [repr(record) for _, record, _, _ in runs(name, seeds=range(1))]

    assert made() == made()


def imported(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}


def test_the_verifier_shares_no_code_with_graphs_and_generators():
    allowed = {"raw", "records", "wording", "verify"}
    for path in (PACKAGE / "verify").glob("*.py"):
        ours = {m for m in imported(path) if m.startswith("robot.")}
        assert {m.split(".")[2] for m in ours if m.startswith("robot.instruct")} <= allowed
        assert all(m.startswith("robot.instruct") for m in ours)
