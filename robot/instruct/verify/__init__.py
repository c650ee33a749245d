"""The independent verifier: re-derives every answer and mask from raw arrays (segmentation, depth,
poses, contacts), never from the scene graph. It shares no code with the generators (an
import-linter contract says so); what it reads of a record are its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from robot.instruct.raw import RawFrame
from robot.instruct.records import POINT_RADIUS_PX, Record
from robot.instruct.verify import multi as multi
from robot.instruct.verify import related as related
from robot.instruct.verify import single as single
from robot.instruct.verify.reading import Picture, points
from robot.instruct.verify.truth import CHECKS, Truth
from robot.instruct.wording import templates

AGREES = ""
_picture = lru_cache(maxsize=256)(Picture)
POINTED = (  # whose answers are points
    "same_object_point",
    "different_object_point",
    "closer_point",
    "farther_point",
    "affordance_point",
)


def truth_of(record: Record, raws: Sequence[RawFrame]) -> Truth:
    """Return what the answer has to be; `raws` are the record's images in its order. Raise
    ValueError, AssertionError or LookupError where the question has no single meaning.
    """
    return CHECKS[record.generator]([_picture(raw) for raw in raws], record.slots, record)


def disagreement(
    record: Record,
    raws: Sequence[RawFrame],
    *,
    answer_masks: Sequence[np.ndarray],
    relevance_masks: Sequence[np.ndarray],
) -> str:
    """Return what is wrong with a record; AGREES ("") where nothing is."""
    if record.question != templates(record.generator)[record.template].format(**record.slots):
        return "the question is not its template"
    try:
        truth = truth_of(record, raws)
        if not truth.right(record.answer):
            return "the answer is wrong"
        if record.options and sum(_is_right(truth, option) for option in record.options) != 1:
            return "not one option is right"
    except (ValueError, AssertionError, LookupError) as error:
        return f"the question has no single meaning ({error})"
    if record.options and (
        record.answer not in record.options or len(set(record.options)) != len(record.options)
    ):
        return "options are not distinct, or lack the answer"
    dots = points(record.answer) if record.generator in POINTED else []
    for k, raw in enumerate(raws):
        if not np.array_equal(_mask(raw, k, truth.mask, dots), answer_masks[k]):
            return "the answer's mask is wrong"
        if not np.array_equal(_mask(raw, k, truth.mask | truth.also, dots), relevance_masks[k]):
            return "the relevance mask is wrong"
    return AGREES


def _is_right(truth: Truth, option: str) -> bool:
    """Return whether an option is right; one that refers to nothing is wrong."""
    try:
        return bool(truth.right(option))
    except (ValueError, LookupError):
        return False


def _mask(
    raw: RawFrame, image: int, shown: frozenset[tuple[int, int]], dots: Sequence[tuple[int, int]]
) -> np.ndarray:
    mask = np.zeros(raw.segmentation.shape, bool)
    for k, number in shown:
        if k == image:
            mask |= raw.segmentation == number
    for x, y in dots:
        ys, xs = np.ogrid[: mask.shape[0], : mask.shape[1]]
        mask |= np.hypot(xs - x, ys - y) <= POINT_RADIUS_PX
    return mask
