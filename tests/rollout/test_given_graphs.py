"""Recordings, annotated pictures and bare ones as graphs, and as a data set in shards."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from robot.data import png
from robot.data.parquet import read_table
from robot.data.store import EpisodeStore
from robot.instruct.claims import Claim
from robot.instruct.correct import Rules, Verdict
from robot.rollout.generate import make_given, missing_shards
from robot.rollout.given_graphs import (
    OF_ROLES,
    annotated_pictures,
    bare_pictures,
    check_recording,
    goal_phrases,
    picture_files,
    recorded_episodes,
)
from robot.types import Episode, Goal, InputError
from tests.robots import panda

RULES = Rules(0.5, 0.0, 0.0, 0.0, slack=0.8, rounds=3)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("put the red mug on the silver frying pan", ["red mug", "silver frying pan"]),
        ("pick up that block", ["block"]),
        ("open it", []),
    ],
)
def test_a_goal_names_its_things_in_order(text, phrases):
    assert goal_phrases(text) == phrases


# --- recordings


def recording(index: int) -> Episode:
    """The red cube moves from the left to the right, above a plate; labels say which is which."""
    steps, size = 8, 48
    labels = np.zeros((steps, size, size), np.uint8)
    for t in range(steps):
        labels[t, 10:20, 2 + 4 * t : 12 + 4 * t] = 1
        labels[t, 30:44, 20:40] = 2
        labels[t, 0:6, 0:6] = 3
    images = np.repeat(labels[..., None] * 60, 3, axis=3)
    return Episode(
        task="place",
        goal=Goal("put the red cube on the plate"),
        images={"agentview": images},
        labels={"agentview": labels},
        proprio=np.zeros((steps, 10), np.float32),
        actions=np.zeros((steps, 7), np.float32),
        spaces=panda(agentview=(size, size)),
        control_dt_s=0.05,
        success=True,
        seed=0,
        index=index,
        scene="clean",
    )


@pytest.fixture
def recordings(tmp_path):
    store = EpisodeStore(tmp_path / "mine")
    for k in range(3):
        store.append(recording(k))
    return tmp_path / "mine"


def test_a_recording_knows_what_its_goal_names(recordings):
    (given,) = recorded_episodes(recordings, 0, 3, looks=3)
    first, last = given.looks[0][0], given.looks[-1][0]
    assert len(given.looks) == 3 and last.frame == 7
    assert first.goal is not None and first.goal.text == "put the red cube on the plate"
    cube, plate = (first.by_id[k] for k in (*first.goal.targets, *first.goal.destinations))
    assert (cube.cls, plate.cls) == ("red cube", "plate")
    assert cube.box == (2, 10, 12, 20)
    assert any((r.head, r.name, r.tail) == (cube.id, "left", plate.id) for r in first.relations)


def test_records_of_recordings_are_made_in_shards_that_any_process_makes_alike(
    recordings, tmp_path
):
    source = partial(recorded_episodes, recordings, looks=3)
    roots = tmp_path / "one", tmp_path / "two"
    for root in roots:
        options = {"shards": 2, "seed": 0, "per_call": 2, "generators": OF_ROLES}
        work = make_given(source, root=root, **options)
        for number in (0, 1) if root is roots[0] else (1, 0):
            work(number)
        assert missing_shards(root, 2) == []
    names = ("records/00000.parquet", "records/00001.parquet")
    assert all((roots[0] / n).read_bytes() == (roots[1] / n).read_bytes() for n in names)
    rows = [r for n in names for r in read_table(roots[0] / n).to_pylist()]
    moved = {r["answer"] for r in rows if r["generator"] == "motion_direction"}
    assert moved == {"right"}
    assert {r["generator"] for r in rows} <= set(OF_ROLES)
    assert {r["tier"] for r in rows} == {"machine"}
    assert {r["episodes"][0] for r in rows} == {"mine-0", "mine-1", "mine-2"}
    assert all((roots[0] / r["images"][0]).is_file() for r in rows)


def test_a_recording_without_masks_is_refused_with_a_way_out(tmp_path):
    bare = replace(recording(0), labels={})
    EpisodeStore(tmp_path / "bare").append(bare)
    with pytest.raises(InputError, match="source=pictures"):
        check_recording(tmp_path / "bare")


# --- pictures


class OneCup:
    """A model that sees a cup in the left half, and takes it for green at first."""

    def generate(self, frame, goal, accepted):
        if accepted:
            return []
        mask = np.zeros(frame.image.shape[:2], bool)
        mask[:, : mask.shape[1] // 2] = True
        return [Claim("name", "cup", 0, mask), Claim("colour", "green", 0, mask)]

    def answer(self, frame, goal, claims, accepted):
        return ["cup" if c.topic == "name" else "red" for c in claims]

    def judge(self, frame, goal, claims, accepted):
        best = self.answer(frame, goal, claims, accepted)
        return [
            Verdict(0.9 if c.word == word else 0.1, 1.0, 1.0, 0.0, word, 1.0)
            for c, word in zip(claims, best, strict=True)
        ]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.png").write_bytes(png.encode(np.full((40, 60, 3), 50 * k, np.uint8)))
    return folder


def test_a_bare_picture_becomes_a_graph_with_confidences(pictures):
    given = bare_pictures(pictures, 1, 3, load_model=OneCup, rules=RULES)
    (graph,) = given[0].looks[0]
    (cup,) = graph.objects
    assert (cup.cls, cup.colour, cup.confidence) == ("cup", "red", 0.9)
    assert cup.box == (0, 0, 30, 40) and graph.episode == "1"
    (log,) = (json.loads(text) for text in given[0].edits.values())
    assert [e["action"] for e in log] == ["accept", "substitute"]


def test_records_of_a_bare_picture_carry_its_edit_log(pictures, tmp_path):
    source = partial(bare_pictures, pictures, load_model=OneCup, rules=RULES)
    make_given(source, root=tmp_path / "out", shards=1, seed=0, per_call=2)(0)
    rows = read_table(tmp_path / "out/records/00000.parquet").to_pylist()
    assert rows and all("substitute" in r["edit_log"] for r in rows)
    colours = {r["answer"] for r in rows if r["generator"] == "typed_attribute_at_box"}
    assert colours == {"red"}


def test_annotated_pictures_are_dealt_to_shards(tmp_path):
    boxes = {"width": 60, "height": 40, "bboxes": [[5, 5, 20, 20]], "labels": ["cup"]}
    entries = {f"p{k}": {"data_path": f"p{k}.png", "annotation": boxes} for k in range(3)}
    (tmp_path / "all.json").write_text(json.dumps(entries))
    shards = [annotated_pictures(tmp_path, k, 2) for k in range(2)]
    assert [[g.looks[0][0].episode for g in s] for s in shards] == [["p0", "p2"], ["p1"]]


def test_a_folder_without_pictures_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="without pictures"):
        picture_files(tmp_path)
