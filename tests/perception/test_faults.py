"""Masks broken on purpose: each fault does what it says, to the masks alone, and draws from the
generator it was given.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.agent import Agent
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay
from robot.perception.faults import (
    DilatedMasks,
    DroppedMasks,
    ShiftedMasks,
    StaleMasks,
    WrongObjectMasks,
    shifted,
)
from robot.perception.sources import CachedMasks, RandomMasks
from robot.types import Frame, Goal, InputError, Mask, MaskStatus
from tests.robots import panda

GOAL = Goal("lift the red cup")
SIDE = 9


def frames(time_s: float = 0.0) -> list[Frame]:
    return [
        Frame(camera=c, image=np.zeros((SIDE, SIDE, 3), np.uint8), time_s=time_s)
        for c in ("agentview", "wrist")
    ]


def source(frames, goal) -> Mask:
    """Show one pixel of every role: target (4, 4), destination (4, 6), gripper (0, 0)."""
    probability = np.zeros((2, 3, SIDE, SIDE), np.float32)
    probability[:, 0, 4, 4] = probability[:, 1, 4, 6] = probability[:, 2, 0, 0] = 1.0
    found = (MaskStatus.FOUND,) * 2
    return Mask(
        probability=tuple(probability),
        presence=np.ones((2, 2), np.float32),
        predicted_iou=np.ones(2, np.float32),
        status=found,
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class Still:
    """A policy that stays where it is."""

    def sample(self, observation, generator=None):
        return torch.zeros(1, 4, 7)


def counting():
    """Return a source whose n-th answer has the target's probability n / 100 everywhere."""
    calls = []

    def count(frames, goal) -> Mask:
        calls.append(1)
        mask = source(frames, goal)
        mask.probability[0][0] = len(calls) / 100
        return mask

    return count


def answer(mask: Mask) -> int:
    return round(100 * float(mask.probability[0][0, 0, 0]))


def test_a_dropped_mask_loses_the_target_and_nothing_else():
    mask = DroppedMasks(source, rng=rng())(frames(), GOAL)
    assert np.stack(mask.probability)[:, 0].sum() == 0
    np.testing.assert_array_equal(
        np.stack(mask.probability)[:, 1:], np.stack(source(frames(), GOAL).probability)[:, 1:]
    )


def test_a_fault_is_silent():
    mask = DroppedMasks(source, rng=rng())(frames(), GOAL)
    assert mask.status == (MaskStatus.FOUND, MaskStatus.FOUND) and mask.presence.min() == 1


def test_a_fault_does_not_change_what_it_wraps():
    whole = source(frames(), GOAL)
    DroppedMasks(lambda frames, goal: whole, rng=rng())(frames(), GOAL)
    assert np.stack(whole.probability)[:, 0].sum() == 2


def test_a_fault_strikes_in_its_share_of_calls():
    fault = DroppedMasks(source, rng=rng(), share=0.3)
    lost = [np.stack(fault(frames(), GOAL).probability)[:, 0].sum() == 0 for _ in range(400)]
    assert 0.23 < np.mean(lost) < 0.37


@pytest.mark.parametrize(("share", "strikes"), [(0.0, False), (1.0, True)])
def test_share_zero_is_never_and_one_always(share, strikes):
    fault = DroppedMasks(source, rng=rng(), share=share)
    lost = [np.stack(fault(frames(), GOAL).probability)[:, 0].sum() == 0 for _ in range(50)]
    assert lost == [strikes] * 50


def test_shift_down_two_and_left_one():
    picture = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    assert shifted(picture, down=2, right=-1)[0, 0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 0]]


def test_shift_out_of_the_frame_leaves_nothing():
    assert shifted(np.ones((1, 1, 3, 3), np.float32), down=5, right=0).sum() == 0


def test_a_shifted_mask_moves_by_its_pixels():
    mask = ShiftedMasks(source, rng=rng(), pixels=3)(frames(), GOAL)
    y, x = np.argwhere(mask.probability[0][0])[0]
    assert 2.2 <= np.hypot(y - 4, x - 4) <= 3.8  # a direction in whole pixels


def test_a_dilated_mask_is_wider_by_its_pixels_on_every_side():
    mask = DilatedMasks(source, rng=rng(), pixels=2)(frames(), GOAL)
    assert mask.probability[0][0].sum() == 25 and mask.probability[0][2].sum() == 9


def test_a_wrong_object_takes_the_targets_place():
    maps = {camera: np.zeros((SIDE, SIDE), np.uint8) for camera in ("agentview", "wrist")}
    maps["agentview"][7, 8] = 1
    mask = WrongObjectMasks(source, rng=rng(), labels=lambda: maps)(frames(), GOAL)
    assert np.argwhere(np.stack(mask.probability)[:, 0]).tolist() == [[0, 7, 8]]
    assert np.stack(mask.probability)[:, 1].sum() == 2


def test_a_wrong_object_needs_every_cameras_labels():
    with pytest.raises(InputError, match="wrist"):
        WrongObjectMasks(
            source, rng=rng(), labels=lambda: {"agentview": np.zeros((SIDE, SIDE), np.uint8)}
        )(frames(), GOAL)


def test_a_stale_mask_is_that_of_some_calls_ago():
    fault = StaleMasks(counting(), rng=rng(), calls=2)
    assert [answer(fault(frames(0.1 * k), GOAL)) for k in range(5)] == [1, 1, 1, 2, 3]


def test_a_stale_mask_tells_its_age():
    fault = StaleMasks(counting(), rng=rng(), calls=2)
    assert [fault(frames(0.1 * k), GOAL).age_s for k in range(4)] == pytest.approx(
        [0, 0.1, 0.2, 0.2]
    )


def test_a_new_episode_or_goal_is_not_answered_with_old_masks():
    fault = StaleMasks(counting(), rng=rng(), calls=3)
    asked = [(0.0, GOAL), (1.0, GOAL), (0.0, GOAL), (0.1, Goal("lift the blue cup"))]
    assert [answer(fault(frames(time_s), goal)) for time_s, goal in asked] == [1, 1, 3, 4]


def test_the_same_generator_gives_the_same_faults():
    runs = [ShiftedMasks(source, rng=np.random.default_rng(seed), pixels=3) for seed in (1, 1, 2)]
    first, again, other = (
        [run(frames(), GOAL).probability[0].tobytes() for _ in range(5)] for run in runs
    )
    assert first == again != other


def test_an_agents_reset_reseeds_faults_however_they_are_wrapped():
    fault = DroppedMasks(
        ShiftedMasks(CachedMasks(source, 2), rng=rng(), pixels=3), rng=rng(), share=0.5
    )
    parts = {"deployment": Overlay(), "policy": Still(), "language": LanguageEncoder.hashed()}
    agent = Agent(masks=fault, image_size=8, spaces=panda(agentview=(9, 9), wrist=(9, 9)), **parts)

    def episode() -> list[bytes]:
        agent.reset(rng=np.random.default_rng(7))
        return [fault(frames(), GOAL).probability[0].tobytes() for _ in range(5)]

    assert episode() == episode()


def test_only_what_draws_is_reseeded():
    assert isinstance(DroppedMasks(source, rng=rng()), RandomMasks) and not isinstance(
        CachedMasks(source, 1), RandomMasks
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: DroppedMasks(source, rng=rng(), share=1.5),
            "got share 1.5 for a mask fault, expected a probability",
        ),
        (
            lambda: ShiftedMasks(source, rng=rng(), pixels=0),
            "got pixels 0 for a mask fault, expected at least 1",
        ),
        (lambda: DilatedMasks(source, rng=rng(), pixels=-1), "got pixels -1"),
        (lambda: StaleMasks(source, rng=rng(), calls=0), "got calls 0"),
    ],
)
def test_impossible_faults_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
