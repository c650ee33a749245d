"""Relations solved on the masks of a head that is asked for every object by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.language import RawSentences
from robot.perception.head.base import Head, MaskOutput
from robot.perception.sources import LearnedMasks
from robot.types import Frame, Goal, MaskStatus
from robot.words.reader import GoalReader

SIDE = 64
# (left, top) of 8-pixel squares in the first camera, and in the hand's camera where seen there
SEEN = {
    "pick up the red ball": ((4, 30), None),
    "pick up the green ball": ((44, 30), (28, 40)),
    "pick up the blue cup": ((24, 30), None),
    "pick up the yellow cup": ((24, 50), (10, 4)),
    "put the red cube on the red plate": ((4, 50), None),
}


class NamedSquares(Head):
    """Masks the square that a sentence names; counts what it is asked."""

    reads_sentences, cameras = True, 2

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def predict(self, frames, words):
        texts = words.texts * (len(frames) if len(words.texts) == 1 else 1)
        self.asked += texts[::2]
        logits = torch.full((len(frames), 3, SIDE, SIDE), -9.0)
        presence = torch.full((len(frames), 2), -9.0)
        for k, text in enumerate(texts):
            corner = SEEN.get(text, (None, None))[k % 2]
            if corner is not None:
                channel = int(text.startswith("put"))
                logits[k, channel, corner[1] : corner[1] + 8, corner[0] : corner[0] + 8] = 9.0
                presence[k, channel] = 9.0
        return MaskOutput(logits, logits[:, :, ::8, ::8], presence, torch.ones(len(frames)))


@pytest.fixture
def head():
    return NamedSquares()


def frames(time_s: float = 0.0) -> tuple[Frame, ...]:
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    return tuple(Frame(camera, image, time_s) for camera in ("agentview", "wrist"))


def masks_of(head) -> LearnedMasks:
    return LearnedMasks(head, RawSentences(), reader=GoalReader.of("tabletop"))


@pytest.mark.parametrize(
    "goal, sentence",
    [
        ("take the ball left of the blue cup", "pick up the red ball"),
        ("take the ball right of the blue cup", "pick up the green ball"),
        ("get the cup in front of the red ball", "pick up the yellow cup"),
        ("lift the ball nearest to the red plate", "pick up the red ball"),
        ("lift the ball nearest to the plate", "pick up the red ball"),
        ("the second thing from the right, please", None),  # two stand in one column
        ("grab the rightmost thing", "pick up the green ball"),
        ("pick up whatever is closest to the gripper", "pick up the green ball"),
    ],
)
def test_the_thing_is_asked_for_by_its_name(head, goal, sentence):
    mask = masks_of(head)(frames(), Goal(goal))
    assert mask.status[0] is MaskStatus.FOUND
    if sentence is not None:
        assert mask.sentence == sentence
        left, top = SEEN[sentence][0]
        assert mask.probability[0][0, top, left] > 0.9 and mask.probability[0][0].sum() < 65


def test_what_was_found_stays_what_is_meant(head):
    masks, goal = masks_of(head), Goal("take the ball left of the blue cup")
    masks(frames(0.0), goal)
    head.asked.clear()
    masks(frames(0.4), goal)
    assert head.asked == ["pick up the red ball"]
    masks(frames(0.0), goal)  # another episode
    assert len(set(head.asked)) > 2


def test_where_nothing_fits_the_agent_looks_again(head):
    mask = masks_of(head)(frames(), Goal("take the ball in front of the red plate"))
    assert mask.status[0] is MaskStatus.ABSENT and mask.sentence is None
    assert all(p.max() == 0.0 for p in mask.probability)
