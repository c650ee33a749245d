"""Reading regions: which words belong to which region, alone and together, and what is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.language import LanguageEncoder
from robot.perception.regions.conversation import Conversation
from robot.perception.regions.everything import Segment, segment_everything, smallest_at
from robot.perception.regions.export import FIELDS, regions_from_json, to_json
from robot.perception.regions.masks import Proposals, peaks
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.questions import read_question
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.vocabulary import ATTRIBUTES, vocabulary
from robot.types import Frame, InputError, Region


@pytest.fixture(scope="module")
def reader() -> RegionReader:
    torch.manual_seed(1)
    return RegionReader(RegionNetwork(), language=LanguageEncoder.hashed())


@pytest.fixture(scope="module")
def frame() -> Frame:
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    return Frame("agentview", image)


def square(k: int, *, index: int | None = None, side: int = 12) -> Region:
    mask = np.zeros((128, 128), dtype=bool)
    mask[10 + 9 * k : 10 + 9 * k + side, 20 + 7 * k : 20 + 7 * k + side] = True
    return Region("agentview", mask=mask, index=index or k + 1)


REGIONS = (
    square(0),
    square(4, index=7),
    Region("agentview", box=(60.0, 20.0, 90.0, 44.0), index=3),
    square(8, index=2, side=5),
)


def test_together_is_what_alone_is(reader, frame):
    together = reader.look(frame, REGIONS)
    for k, region in enumerate(REGIONS):
        alone = reader.look(frame, [region])
        assert (alone.tokens[0] - together.tokens[k]).abs().max() < 1e-5
        assert alone.readings[0].label == together.readings[k].label
        for kind, score in alone.readings[0].scores.items():
            assert abs(score - together.readings[k].scores[kind]) < 1e-5
    pair = reader.look(frame, [REGIONS[1], REGIONS[3]])
    assert (pair.relations[0, 1] - together.relations[1, 3]).abs().max() < 1e-5
    assert (pair.offsets_m[1, 0] - together.offsets_m[3, 1]).abs().max() < 1e-5


def test_a_reading_belongs_to_its_region_whatever_the_order(reader, frame):
    """The off-by-one of public code: labels that wander from a region to the next."""
    straight = {r.index: r for r in reader.describe(frame, REGIONS)}
    turned = {r.index: r for r in reader.describe(frame, REGIONS[::-1])}
    assert set(straight) == {1, 7, 3, 2}
    scores = [tuple(straight[k].scores.values()) for k in straight]
    assert len(set(scores)) == len(scores)  # regions read differently, so a swap would show
    for k in straight:
        assert straight[k].region == turned[k].region
        assert straight[k].scores == pytest.approx(turned[k].scores, abs=1e-5)


def test_a_question_reads_the_region_that_it_names(reader, frame):
    look = reader.look(frame, REGIONS)
    for region in REGIONS:
        reading = look.readings[look.position(region.index)]
        said = reader.ask(frame, REGIONS, f"what is region {region.index}? in one word")
        assert said.text == reading.label and str(region.index) in said.reason


def test_a_frame_of_another_size_is_read_with_regions_in_its_own_pixels(reader):
    image = np.random.default_rng(3).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    box = (100.0, 50.0, 180.0, 140.0)
    (reading,) = reader.describe(Frame("photo", image), [Region("photo", box=box)])
    assert reading.region.box == box and reading.visible
    assert reader.mask_of(Frame("photo", image), box).shape == (240, 320)


def test_a_click_is_the_smallest_mask_that_holds_it():
    big, small = square(1, side=40), square(2, side=6)
    segments = [Segment(big, "object", 0.9), Segment(small, "part", 0.3)]
    inside = smallest_at(segments, (36.0, 30.0))
    assert inside is not None and inside.granularity == "part"
    beside = smallest_at(segments, (60.0, 50.0))
    assert beside is not None and beside.granularity == "object"
    assert smallest_at(segments, (0.0, 0.0)) is None


def test_everything_is_numbered_from_one_best_first(reader, frame):
    segments = segment_everything(frame, reader, at_least=0.0)
    assert [s.region.index for s in segments] == list(range(1, len(segments) + 1))
    assert [s.score for s in segments] == sorted((s.score for s in segments), reverse=True)
    scene = segment_everything(frame, reader, granularities=["scene"], at_least=0.0)
    assert {s.granularity for s in scene} == {"scene"}
    with pytest.raises(InputError, match="got granularity 'atom'"):
        segment_everything(frame, reader, granularities=["atom"])


def test_a_peak_of_the_heat_is_a_box_around_it():
    heat = torch.full((1, 2, 8, 12), -5.0)
    heat[0, 1, 3, 9] = 2.0  # an object in row 3, column 9 of cells of 4 px
    sides = torch.ones(1, 8, 8, 12)
    sides[0, 4:, 3, 9] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    surfaces = torch.zeros(1, 4, 8, 12)
    (found,) = peaks(Proposals(heat, sides, surfaces), at_least=0.5, at_most=10)
    assert [(kind, box) for kind, _, box in found] == [(1, (34.0, 6.0, 50.0, 30.0))]


def test_an_empty_mask_is_not_what_any_phrase_says(reader, frame):
    assert reader.is_a(frame, np.zeros((128, 128), dtype=bool), "red cube") == 0.0
    assert 0.0 < reader.is_a(frame, square(0).mask, "red cube") < 1.0


def test_json_holds_the_regions_and_gives_them_back(reader, frame):
    items = to_json(reader.describe(frame, REGIONS))
    assert [tuple(item) for item in items] == [FIELDS] * len(REGIONS)
    back = regions_from_json(items, camera="agentview")
    for region, again in zip(REGIONS, back, strict=True):
        assert again.index == region.index and again.bounds == region.bounds
        assert region.mask is None or np.array_equal(again.mask, region.mask)


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ([square(0), square(1, index=1)], "expected each number once"),
        ([Region("wrist", box=(0.0, 0.0, 9.0, 9.0))], "in camera 'wrist' for a frame of"),
        ([Region("agentview", box=(200.0, 0.0, 209.0, 9.0))], "outside of the frame"),
        ([Region("agentview", mask=np.ones((9, 9), dtype=bool))], "the frame's size"),
    ],
)
def test_regions_that_do_not_fit_are_explained(reader, frame, regions, says):
    with pytest.raises(InputError, match=says):
        reader.describe(frame, regions)


@pytest.mark.parametrize(
    ("question", "kind", "regions"),
    [
        ("Which of region 1 and region 2 is closer to the plate, and why?", "closer", (1, 2)),
        ("which of <region1> and <region3> is further from the bowl?", "farther", (1, 3)),
        ("is region 2 the red cube?", "is_a", (2,)),
        ("Is region 1 to the left of region 2?", "related", (1, 2)),
        ("is region 1 in the pot?", "related", (1,)),
        ("What colour is region 4? Answer with a single word or phrase.", "colour", (4,)),
        ("what's region 1?", "what", (1,)),
        ("which one is the blue ball?", "which", ()),
        ("how many are red cups?", "count", ()),
        ("which is bigger, region 1 or region 2?", "bigger", (1, 2)),
        ("which of regions 1 and 2 is leftmost?", "leftmost", (1, 2)),
        ("how far is region 1 from region 2?", "distance", (1, 2)),
        ("describe region 2", "describe", (2,)),
        ("where is region 1?", "where", (1,)),
        ("which part is region 5?", "part", (5,)),
        ("what is region 1 made of?", "material", (1,)),
    ],
)
def test_questions_are_read(question, kind, regions):
    asked = read_question(question)
    assert (asked.kind, asked.regions) == (kind, regions)
    assert asked.short == ("single word" in question)


def test_a_question_of_no_kind_is_answered_with_examples(reader, frame):
    with pytest.raises(InputError, match="is region 1 the red cube"):
        reader.ask(frame, REGIONS, "sing a song")
    with pytest.raises(InputError, match="got region 9 .* given: 1, 7, 3, 2"):
        reader.ask(frame, REGIONS, "what is region 9?")


def test_a_conversation_keeps_regions_and_what_it_means(reader, frame):
    talk = Conversation(reader, frame, REGIONS[:2])
    with pytest.raises(InputError, match="before any region was spoken of"):
        talk.ask("is it the red cube?")
    talk.ask("what is region 7?")
    assert talk.ask("what colour is it?") == reader.ask(
        frame, REGIONS[:2], "what colour is region 7?"
    )
    added = talk.add(square(6, index=1))
    assert added.index == 8 and [r.index for r in talk.readings] == [1, 7, 8]
    assert [question for question, _ in talk.rounds] == ["what is region 7?", "what colour is it?"]


def test_one_in_five_combinations_is_held_out():
    known = vocabulary()
    share = sum(map(len, known.held_out.values())) / (len(known.held_out) * len(known.colours))
    assert 0.18 <= share <= 0.22
    assert all(set(colours) < set(known.colours) for colours in known.held_out.values())
    assert {known.is_held_out("cup", colour) for colour in ("purple", "red")} == {True, False}
    assert set(ATTRIBUTES) <= set(vars(known))
