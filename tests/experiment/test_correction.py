"""What is counted of claims before and after their correction."""

from __future__ import annotations

import numpy as np
import pytest

from launch.correcting import table_of
from robot.experiment.correction import VARIANTS, HiddenFrame, figures, measure_correction
from robot.instruct.build import build_graph
from robot.instruct.claims import Claim
from robot.instruct.correct import Rules, Verdict
from robot.types import Frame
from tests.instruct.toy import WORLD, raw_of

RULES = Rules(0.5, 0.0, 0.0, 0.0, slack=0.8, rounds=3)
GRAPH = build_graph(raw_of(WORLD))
TRUTH = {10: "cup", 11: "cup", 12: "ball", 13: "cube"}


class Half:
    """Names two things right and two wrong; knows better on a second look, but for the cube."""

    def generate(self, frame, goal, accepted):
        said = {10: "cup", 11: "egg", 12: "ball", 13: "egg"}
        masks = {k: GRAPH.by_id[k].mask for k in said}
        return [] if accepted else [Claim("name", w, k, masks[k]) for k, w in said.items()]  # type: ignore[arg-type]

    def answer(self, frame, goal, claims, accepted):
        return ["egg" if c.region == 13 else TRUTH[c.region] for c in claims]

    def judge(self, frame, goal, claims, accepted):
        best = self.answer(frame, goal, claims, accepted)
        return [
            Verdict(0.9 if c.word == TRUTH[c.region] else 0.2, 1.0, 1.0, 0.0, word, 1.0)
            for c, word in zip(claims, best, strict=True)
        ]


@pytest.fixture(scope="module")
def results():
    frame = HiddenFrame(Frame("above", np.zeros((96, 96, 3), np.uint8)), "", GRAPH)
    return figures(measure_correction(Half(), [frame], RULES))


@pytest.mark.parametrize(
    ("variant", "true", "false", "cut", "kept"),
    [
        ("one shot", 2, 2, 0.0, 1.0),
        ("regenerated (VIGC)", 3, 1, 0.5, 1.0),  # the egg stays: nothing is verified
        ("verified or dropped", 2, 0, 1.0, 1.0),
        ("corrected", 3, 0, 1.0, 1.0),  # one substituted, one dropped
    ],
)
def test_every_variant_is_scored_against_what_was_generated(
    results, variant, true, false, cut, kept
):
    of = results.variants[variant]
    assert (of.true, of.false) == (true, false)
    assert (of.false_cut, of.true_kept) == (cut, kept)


def test_the_fixed_point_and_what_was_done_are_counted(results):
    assert results.fixed_point == 1.0
    assert results.actions == {"accept": 2, "substitute": 1, "drop": 1}


def test_the_table_has_a_row_for_each_variant(results):
    assert table_of([results, results]).row_count == len(VARIANTS)
