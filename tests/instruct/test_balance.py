"""What can be answered without looking is found, and is no multiple-choice question."""

from __future__ import annotations

import numpy as np
import pytest

from robot.instruct.balance import balanced
from robot.instruct.blind import Choice, blind
from robot.instruct.nearness import coordinates, nearest
from robot.instruct.records import Record

BOXES = ("[10, 10, 20, 20]", "[60, 60, 70, 70]", "[5, 80, 15, 90]")


def record(*, slots: dict[str, str], options: tuple[str, ...], answer: str) -> Record:
    return Record(
        generator="attribute_question",
        template=0,
        slots=slots,
        question="?",
        answer=answer,
        options=options,
        frames=(0,),
        answer_mask=(),
        relevance_mask=(),
    )


def asked(records) -> list[Choice]:
    return [Choice(r.generator, r.slots, r.options, r.answer) for r in records if r.options]


def ducks(share: float) -> list[Record]:
    """Return questions after the colour of ducks, a share of which are yellow."""
    rng = np.random.default_rng(0)
    answers = np.where(rng.random(200) < share, "yellow", "red").tolist()
    return [
        record(slots={"object": "duck"}, options=("red", "yellow"), answer=answer)
        for answer in answers
    ]


def tracked(still: float) -> list[Record]:
    """Return questions where the thing in a box is later; a share of the things stood still."""
    rng = np.random.default_rng(0)
    records = []
    for _ in range(600):
        corners = rng.choice(200, size=(3, 2), replace=False).tolist()
        here, *elsewhere = (f"[{x}, {y}, {x + 10}, {y + 10}]" for x, y in corners)
        records.append(
            record(
                slots={"box": here},
                options=tuple(rng.permutation([here, *elsewhere]).tolist()),
                answer=here if rng.random() < still else elsewhere[0],
            )
        )
    return records


@pytest.mark.parametrize("records", [ducks(0.85), tracked(0.85)], ids=["habit", "stood still"])
def test_a_blind_reader_has_nothing_left_to_go_by(records):
    before = blind(asked(records))
    kept = balanced(records, rng=np.random.default_rng(0))
    after = blind(asked(kept))
    assert before.above_chance_points > 20
    assert after.above_chance_points < 5 and after.questions > 30
    assert [r.answer for r in kept] == [r.answer for r in records]  # asked still, without options


def test_habits_that_are_none_cost_nothing():
    records = ducks(0.5)
    assert len(asked(balanced(records, rng=np.random.default_rng(0)))) > 150


def test_nearness_compares_points_with_points_and_boxes_with_boxes():
    assert nearest(BOXES, {"box": "[61, 61, 70, 70]"}) == BOXES[1]
    assert nearest(("(10, 10)", "(90, 90)"), {"box": BOXES[0], "point": "(80, 99)"}) == "(90, 90)"
    assert nearest(BOXES, {"object": "duck", "point": "(1, 2)"}) is None
    assert nearest(("red", "yellow"), {"box": BOXES[0]}) is None
    assert coordinates("(1.5, -2)") == (1.5, -2.0) and coordinates("3 ducks") == ()
