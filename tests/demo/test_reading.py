"""The region reader on the page, with weights that have learned nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from robot.demo import commands as c
from robot.demo.reading import Reading, camera_asked
from robot.language import LanguageEncoder
from robot.perception.regions.everything import Segment
from robot.perception.regions.export import FIELDS
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.reader import RegionReader
from robot.system.command import plain
from robot.types import Frame, InputError, Region
from tests.demo.stations import FakeStation, eventually, session_of

FRAMES = tuple(Frame(name, np.full((64, 64, 3), 120, np.uint8)) for name in ("agentview", "wrist"))


@pytest.fixture(scope="module")
def reading() -> Reading:
    torch.manual_seed(1)
    return Reading(RegionReader(RegionNetwork(), language=LanguageEncoder.hashed()))


def segment(side: int, index: int) -> Segment:
    mask = np.zeros((64, 64), bool)
    mask[:side, :side] = True
    return Segment(Region("wrist", mask=mask, index=index), "object", 0.9)


def test_a_click_takes_the_smallest_mask_that_is_shown_there(reading):
    shown = (segment(40, 1), segment(20, 2))
    taken = reading.with_mask(FRAMES[1], Region("wrist", click=(5.0, 5.0), index=3), shown)
    assert taken.mask.sum() == 400 and (taken.index, taken.click) == (3, (5.0, 5.0))
    taken = reading.with_mask(FRAMES[1], Region("wrist", click=(30.0, 30.0)), shown)
    assert taken.mask.sum() == 1600
    nothing = reading.with_mask(FRAMES[1], Region("wrist", click=(60.0, 60.0)), shown)
    assert nothing.mask is None


def test_what_is_said_of_regions_is_json(reading):
    box = Region("wrist", box=(5.0, 5.0, 30.0, 30.0), index=2)
    (record,) = json.loads(json.dumps(plain(reading.records(FRAMES, [box]))))
    assert set(record) == {"camera", *FIELDS}
    assert (record["camera"], record["region_id"]) == ("wrist", 2)
    assert record["box"] == [5.0, 5.0, 30.0, 30.0]


def test_rounds_follow_one_another_until_something_else_is_shown(reading):
    regions = [Region("wrist", box=(5.0, 5.0, 30.0, 30.0))]
    reading.begin()
    with pytest.raises(InputError, match="before any region was spoken of"):
        reading.ask(FRAMES, regions, "what colour is it?")
    first = reading.ask(FRAMES, regions, "what colour is region 1?")
    assert reading.ask(FRAMES, regions, "what colour is it?") == first
    reading.begin()
    with pytest.raises(InputError, match="before any region was spoken of"):
        reading.ask(FRAMES, regions, "what colour is it?")


def test_a_question_is_about_the_camera_that_shows_its_regions():
    one, two = Region("agentview", click=(1.0, 1.0)), Region("wrist", click=(1.0, 1.0), index=2)
    assert camera_asked(FRAMES, [one, two], "what is region 2?").camera == "wrist"
    assert camera_asked(FRAMES, [one, two], "what is it?").camera == "agentview"
    with pytest.raises(InputError, match="region 1 and 2, which no camera shows together"):
        camera_asked(FRAMES, [one, two], "is region 1 left of region 2?")
    with pytest.raises(InputError, match="no region"):
        camera_asked(FRAMES, [], "what is it?")


def test_the_page_gets_masks_names_and_answers(reading):
    with session_of(FakeStation(), reading=reading) as (session, _):
        assert session.state.abilities.reads
        session.submit(c.AddBox(camera="wrist", box=(4.0, 4.0, 20.0, 20.0)))
        eventually(lambda: session.state.records)
        session.submit(c.Ask(text=" what is   region 1? "))
        eventually(lambda: session.state.turns)
        assert [turn.kind for turn in session.state.turns] == ["question", "answer"]
        assert session.state.turns[0].text == "what is region 1?"
        session.submit(c.Segment(camera="wrist", granularity="scene"))
        eventually(lambda: session.state.segments)
        assert {one.granularity for one in session.state.segments} == {"scene"}
        session.submit(c.Segment(camera="wrist", hides=True))
        eventually(lambda: not session.state.segments)
        session.submit(c.Remove(index=1))
        eventually(lambda: not session.state.regions)
        assert session.state.records == ()
