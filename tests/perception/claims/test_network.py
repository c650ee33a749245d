"""The small claim network: two tasks, one batch; a second look depends on what it is about."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.data.claim_frames import ClaimFrames, packed
from robot.instruct.claims import Claim, answers
from robot.language import LanguageEncoder
from robot.perception.claims import reader as claim_reader
from robot.perception.claims.network import ClaimNetwork, erased
from robot.perception.claims.reader import SmallClaims, coarse
from robot.perception.claims.words import (
    SPANS,
    TOPICS,
    answer_at,
    answer_index,
    claim_tokens,
    goal_tokens,
)
from robot.perception.regions.everything import Segment
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.sizes import ReaderSizes
from robot.system.parse import parse
from robot.train.claim_batches import batch_of, questions_of
from robot.types import Frame, Region

SIZES = {"widths": [4, 8, 8, 8], "blocks": [1, 1, 1], "strides": [2, 4, 8, 16], "channels": 8}
SIZES |= {"dim": 16, "heads": 4, "depth": 1, "word_dim": 8, "queries": 1}
PIXELS, REGIONS = 64, 4


def network(seed: int = 0) -> ClaimNetwork:
    torch.manual_seed(seed)
    return ClaimNetwork(reader=SIZES, word_dim=16, hidden=32)


def two_cubes() -> ClaimFrames:
    """One frame: a red cube on the left, which is the goal's target, a blue one on the right."""
    image = np.full((1, PIXELS, PIXELS, 3), 90, np.uint8)
    image[0, 20:40, 6:22], image[0, 20:40, 40:58] = (220, 20, 20), (20, 20, 220)
    masks = np.zeros((REGIONS, PIXELS // 2, PIXELS // 2), bool)
    masks[0, 10:20, 3:11] = masks[2, 10:20, 3:11] = True
    masks[1, 10:20, 20:29] = masks[3, 10:20, 20:29] = True
    of_one = np.full((1, REGIONS, 5), -1, np.int16)
    of_one[0, :, 0] = answer_index("name", "cube")
    of_one[0, ::2, 1], of_one[0, 1::2, 1] = (answer_index("colour", c) for c in ("red", "blue"))
    of_one[0, ::2, 4], of_one[0, 1::2, 4] = (answer_index("role", r) for r in ("target", ""))
    relations = np.full((1, REGIONS, REGIONS, 3), -1, np.int16)
    relations[0, 0::2, 1::2, 0] = answer_index("side", "left")
    relations[0, 1::2, 0::2, 0] = answer_index("side", "right")
    counts = np.full((1, len(answers("name")) - 1), answer_index("count", ""), np.int16)
    counts[0, answers("name").index("cube") - 1] = answer_index("count", "2")
    return ClaimFrames(
        images=image,
        masks=packed(masks)[None],
        valid=np.ones((1, REGIONS), bool),
        objects=np.array([[False, False, True, True]]),
        answers=of_one,
        relations=relations,
        counts=counts,
        reached=np.full(1, answer_index("reached", "no"), np.int16),
        goals=np.array(["pick up the red cube"]),
    )


def test_answers_of_a_topic_stand_in_its_own_span():
    for topic in TOPICS:
        for word in answers(topic):
            place = answer_index(topic, word)
            assert SPANS[topic][0] <= place < SPANS[topic][1]
            assert answer_at(topic, place) == word


def test_a_goal_is_read_as_its_colours_and_nouns_in_order():
    red_in_blue = goal_tokens("put the red mug into the blue bowl")
    assert len(red_in_blue) == 4
    assert red_in_blue == goal_tokens("set the red cup in the blue bowl, please")
    assert red_in_blue != goal_tokens("put the blue cup into the red bowl")


def test_questions_have_known_answers_only():
    asked = questions_of(two_cubes(), 0, rng=np.random.default_rng(0))
    assert {q.topic for q in asked} == {"name", "colour", "role", "side", "count", "reached"}
    sides = {(q.region % 2, q.tail % 2, answer_at("side", q.answer)) for q in asked if q.tail >= 0}
    assert sides <= {(0, 1, "left"), (1, 0, "right")}


def test_the_network_learns_both_tasks_of_one_frame():
    frames, net = two_cubes(), network()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)

    def loss(step: int) -> torch.Tensor:
        batch = batch_of(frames, [0], rng=np.random.default_rng(step))
        return net.loss(batch, generator).mean()

    before = float(sum(loss(1000 + k) for k in range(2)).detach())  # type: ignore[union-attr]
    for step in range(20):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
    after = float(sum(loss(1000 + k) for k in range(2)).detach())  # type: ignore[union-attr]
    assert after < 0.6 * before


def test_blanking_leaves_nothing_of_a_region():
    image = torch.full((1, 3, 16, 16), 10, dtype=torch.uint8)
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 4:8, 4:8] = True
    image[:, :, 4:8, 4:8] = 200
    assert (erased(image, mask) == 10).all()


def test_no_mask_vanishes_on_the_coarse_grid():
    dot = np.zeros((480, 640), bool)
    dot[101, 333] = True
    assert coarse(dot).sum() == 1
    assert not coarse(np.zeros((480, 640), bool)).any()


@pytest.fixture
def model(monkeypatch) -> SmallClaims:
    """A model of random weights that sees two segments in every frame."""
    first, second = (np.zeros((48, 64), bool) for _ in range(2))
    first[10:20, 5:15], second[25:40, 40:60] = True, True
    segments = tuple(
        Segment(Region("picture", mask=m, index=k), "object", 0.9)
        for k, m in enumerate((first, second), start=1)
    )
    monkeypatch.setattr(claim_reader, "segment_everything", lambda *_, **__: segments)
    torch.manual_seed(0)
    eyes = RegionNetwork(parse(ReaderSizes, SIZES))
    reader = RegionReader(eyes, language=LanguageEncoder.hashed())
    return SmallClaims(network(), reader=reader)


FRAME = Frame("picture", np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
GOAL = "pick up the red cube"


def test_claims_are_numbered_by_segment_and_of_known_words(model):
    claims = model.generate(FRAME, GOAL, ())
    assert claims and {c.region for c in claims} <= {0, 1, claim_reader.WHOLE}
    assert all(c.word in answers(c.topic)[1:] for c in claims)
    assert all(c.mask.shape == (48, 64) for c in claims)


def test_nothing_more_is_said_of_what_is_accepted(model):
    claims = model.generate(FRAME, GOAL, ())
    masks = {c.region: c.mask for c in claims}
    named = [Claim("name", "cube", k, masks[k]) for k in (0, 1) if k in masks]
    again = model.generate(FRAME, GOAL, named)
    assert {c.region for c in again}.isdisjoint({c.region for c in named})


def test_a_second_look_depends_on_the_claim_and_on_what_is_accepted(model):
    mask = np.zeros((48, 64), bool)
    mask[10:20, 5:15] = True
    red, cube = Claim("colour", "red", 0, mask), Claim("name", "cube", 0, mask)
    with torch.no_grad():  # zero at first, so that a second look begins as the first
        for layer in model.network.film:
            layer.weight.normal_(generator=torch.Generator().manual_seed(0))
    alone = model.judge(FRAME, GOAL, [red], ())[0]
    told = model.judge(FRAME, GOAL, [red], [cube])[0]
    blue = model.judge(FRAME, GOAL, [Claim("colour", "blue", 0, mask)], ())[0]
    assert alone.chance != told.chance and alone.chance != blue.chance
    assert alone.chance != alone.erased
    assert alone.best == blue.best  # asked without its word, the question is the same
    assert 0 <= alone.overlap <= 1


def test_a_question_hides_the_word_that_a_claim_shows():
    mask = np.ones((4, 4), bool)
    red, blue = (Claim("colour", word, 0, mask) for word in ("red", "blue"))
    assert claim_tokens(red, (), "", shown=False) == claim_tokens(blue, (), "", shown=False)
    assert claim_tokens(red, (), "", shown=True) != claim_tokens(blue, (), "", shown=True)
