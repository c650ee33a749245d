"""Regions are followed: squares that move, seen by a head that knows nothing but colour and
nearness, so that what is tested is who is who.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.head import RegionHead, RegionOutput
from robot.perception.regions.places import MIDDLE_M
from robot.perception.regions.prompts import Prompt
from robot.perception.sources import NoMask
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError, MaskStatus, Region, Viewpoint
from robot.words.reader import GoalReader

RED, BLUE, SIDE, SIZE = (200, 0, 0), (0, 0, 200), 6, 32
REACH_PX = 5  # a decision moves a thing no further
READER = GoalReader.of("tabletop")


class NearestOfItsColour(RegionHead):
    """Finds, per camera, the pixels of the colour that was pointed at, near where they were."""

    def __init__(self) -> None:
        super().__init__(dim=8, heads=2, widths=(8, 8, 8), depth=1)

    def encode(self, frames):
        return [frames.float()]

    def identify(self, pyramid, coverage):
        weights = coverage.flatten(2)
        return weights @ pyramid[0].flatten(2).transpose(1, 2) / weights.sum(2, keepdim=True)

    def look(self, pyramid, prompts, identity):
        distance = (pyramid[0][:, None] - identity[..., None, None]).abs().amax(dim=2)
        near = F.max_pool2d(prompts.planes, 2 * REACH_PX + 1, stride=1, padding=REACH_PX) > 0
        masks = (distance < 40) & near
        seen = masks.flatten(2).any(dim=2)
        logits = torch.cat([masks, torch.zeros_like(masks[:, :1])], dim=1).float() * 40 - 20
        presence = seen.float() * 20 - 10
        return RegionOutput(logits, logits, presence, seen.float())


def frames(*squares: tuple[tuple[int, int, int], int, int], time_s: float = 0.0) -> list[Frame]:
    """Return the same picture for two cameras: squares of a colour at (x, y)."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    for colour, x, y in squares:
        image[y : y + SIDE, x : x + SIDE] = colour
    return [Frame(name, image, time_s) for name in ("agentview", "wrist")]


def box(x: int, y: int, *, index: int = 1, camera: str = "agentview") -> Region:
    return Region(camera, box=(x, y, x + SIDE, y + SIDE), index=index)


def masks() -> RegionMasks:
    return RegionMasks(NoMask(), NearestOfItsColour(), reader=READER)


def where(mask, channel: int, camera: int = 0) -> tuple[int, int] | None:
    """Return the upper left corner (x, y) of what a channel masks; None where that is nothing."""
    rows, columns = np.nonzero(mask.probability[camera][channel] > 0.5)
    return (int(columns.min()), int(rows.min())) if len(rows) else None


def test_of_two_that_look_alike_the_one_that_was_pointed_at_is_followed():
    follow, goal = masks(), Goal("pick up <region1>", (box(2, 4),))
    for step in range(5):  # one goes right, its twin comes down beside where it was
        seen = follow(frames((RED, 2 + 4 * step, 4), (RED, 2, 24 - 3 * step), time_s=step), goal)
        assert where(seen, 0) == (2 + 4 * step, 4)
        assert seen.status == (MaskStatus.FOUND,) * 2 and seen.age_s == 0


def test_regions_that_are_swapped_swap_target_and_destination():
    scene = frames((RED, 2, 4), (BLUE, 20, 18))
    text = "put <region1> on <region2>"
    seen = masks()(scene, Goal(text, (box(2, 4), box(20, 18, index=2))))
    assert (where(seen, 0), where(seen, 1)) == ((2, 4), (20, 18))
    swapped = masks()(scene, Goal(text, (box(2, 4, index=2), box(20, 18))))
    assert (where(swapped, 0), where(swapped, 1)) == ((20, 18), (2, 4))
    other_words = masks()(
        scene, Goal("put <region2> on <region1>", (box(2, 4), box(20, 18, index=2)))
    )
    assert (where(other_words, 0), where(other_words, 1)) == ((20, 18), (2, 4))


def test_what_is_lost_is_uncertain_and_empty_and_never_its_twin():
    follow, goal = masks(), Goal("pick up <region1>", (box(2, 4),))
    twin = (RED, 22, 22)
    follow(frames((RED, 2, 4), twin, time_s=0.0), goal)
    for time_s in (0.4, 0.8):
        lost = follow(frames(twin, time_s=time_s), goal)
        assert lost.status == (MaskStatus.UNCERTAIN,) * 2
        assert where(lost, 0) is None and lost.age_s == pytest.approx(time_s)
    again = follow(frames((RED, 4, 5), twin, time_s=1.2), goal)
    assert again.status[0] is MaskStatus.FOUND and where(again, 0) == (4, 5) and again.age_s == 0


def test_a_camera_that_lost_it_keeps_the_mask_of_when_it_saw_it_last():
    follow, goal = masks(), Goal("pick up <region1>", (box(2, 4),))
    follow(frames((RED, 2, 4), time_s=0.0), goal)
    follow(frames(time_s=0.4), goal)
    assert follow._known is not None
    assert follow._known.prompts.kinds[0].tolist() == [Prompt.EARLIER, Prompt.NONE]
    assert follow._known.prompts.planes[0, 0].sum() == SIDE * SIDE


@pytest.mark.parametrize(
    "change",
    [
        lambda goal: (goal, 0.0),  # the clock went back: another episode
        lambda goal: (Goal(goal.text, (box(22, 22),)), 9.0),  # another box for the same words
    ],
)
def test_a_new_episode_or_a_new_region_points_anew(change):
    follow, goal = masks(), Goal("pick up <region1>", (box(2, 4),))
    follow(frames((RED, 2, 4), (RED, 22, 22), time_s=5.0), goal)
    goal, time_s = change(goal)
    there = (2, 4) if goal.regions[0].box == box(2, 4).box else (22, 22)
    seen = follow(frames((RED, 2, 4), (RED, 22, 22), time_s=time_s), goal)
    assert where(seen, 0) == there


@pytest.mark.parametrize("given", [{"click": (5.0, 7.0)}, {"mask": None}])
def test_clicks_and_masks_point_as_boxes_do(given):
    scene = frames((RED, 2, 4), (RED, 22, 22))
    if "mask" in given:
        given = {"mask": (scene[0].image == RED).all(axis=2) & (np.arange(SIZE) < 16)}
    seen = masks()(scene, Goal("pick up <region1>", (Region("agentview", **given),)))
    assert where(seen, 0) == (2, 4)


def test_frames_of_another_size_get_masks_of_their_own_size():
    big = [Frame(f.camera, f.image.repeat(2, 0).repeat(2, 1)) for f in frames((RED, 2, 4))]
    follow = masks()
    follow.head.trained_cameras = (Camera("agentview", SIZE, SIZE), Camera("wrist", SIZE, SIZE))
    seen = follow(big, Goal("pick up <region1>", (Region("agentview", box=(4, 8, 16, 20)),)))
    assert seen.probability[0].shape == (3, 64, 64) and where(seen, 0) == (4, 8)


def test_one_camera_is_enough_and_three_are_too_many():
    scene, goal = frames((RED, 2, 4)), Goal("pick up <region1>", (box(2, 4),))
    assert where(masks()(scene[:1], goal), 0) == (2, 4)
    with pytest.raises(InputError, match="3 cameras, expected at most 2"):
        masks()([*scene, Frame("side", scene[0].image)], goal)


def test_words_find_what_no_region_shows():
    seen = masks()(frames((RED, 2, 4)), Goal("put the blue ball on <region1>", (box(2, 4),)))
    assert (seen.probability[0][0] == 1).all()  # NoMask's: the ball is found by words
    assert where(seen, 1) == (2, 4)
    assert seen.sentence == "put the blue ball on the red plate"


def test_goals_without_regions_pass_through():
    scene = frames((RED, 2, 4))
    assert (masks()(scene, Goal("pick up the red cube")).probability[0] == 1).all()


def test_a_goal_that_asks_for_nothing_is_waited_at():
    with pytest.warns(UserWarning, match="not acted on"):
        seen = masks()(frames((RED, 2, 4)), Goal("do not touch <region1>", (box(2, 4),)))
    assert seen.sentence == "" and seen.status[0] is MaskStatus.ABSENT


# --- cameras that know where they stand: one overhead, one on the hand, both looking straight down


class AnyOfItsColour(NearestOfItsColour):
    """Sees what is of the colour in the first camera, everywhere where it has no prompt."""

    def look(self, pyramid, prompts, identity):
        anywhere = (prompts.kinds == Prompt.NONE)[..., None, None]
        planes = torch.where(anywhere, torch.ones_like(prompts.planes), prompts.planes)
        return super().look(
            pyramid, replace(prompts, planes=planes), identity[:1].expand(2, -1, -1)
        )


def over(x_m: float, y_m: float, z_m: float, *, on_hand: bool = False) -> Viewpoint:
    """Return a camera over (x, y): at 1 m over things' middles a pixel is 1 cm."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x_m, y_m, z_m + MIDDLE_M
    K = np.array([[100.0, 0, SIZE / 2], [0, 100.0, SIZE / 2], [0, 0, 1]])
    return Viewpoint(K, pose, on_hand)


def table_frames(
    overhead: list[tuple[int, int]],
    hand: list[tuple[int, int]],
    *,
    time_s: float = 0.0,
    at: tuple[float, float, float] = (0.05, 0.0, 1.0),
) -> list[Frame]:
    """Return red squares at (x, y) as the two cameras see them, the second one from `at`."""
    first = frames(*[(RED, x, y) for x, y in overhead], time_s=time_s)[0]
    second = frames(*[(RED, x, y) for x, y in hand], time_s=time_s)[1]
    return [
        replace(first, viewpoint=over(0.0, 0.0, 1.0)),
        replace(second, viewpoint=over(*at, on_hand=True)),
    ]


def located() -> RegionMasks:
    return RegionMasks(NoMask(), AnyOfItsColour(), reader=READER)


def test_of_twins_in_another_camera_the_one_at_the_same_place_is_taken():
    goal = Goal("pick up <region1>", (box(6, 4),))
    # the hand is 5 cm to the right of the overhead camera: it sees both 5 px further left
    seen = located()(table_frames([(6, 4), (24, 4)], [(1, 4), (19, 4)]), goal)
    assert where(seen, 0) == (6, 4) and where(seen, 0, camera=1) == (1, 4)
    swapped = Goal("pick up <region1>", (box(24, 4),))
    seen = located()(table_frames([(6, 4), (24, 4)], [(1, 4), (19, 4)]), swapped)
    assert where(seen, 0) == (24, 4) and where(seen, 0, camera=1) == (19, 4)
    blind = [replace(f, viewpoint=None) for f in table_frames([(6, 4), (24, 4)], [(1, 4), (19, 4)])]
    assert (located()(blind, goal).probability[1][0] > 0.5).sum() == 2 * SIDE * SIDE


def test_a_twin_is_not_taken_where_the_thing_itself_is_out_of_view():
    goal = Goal("pick up <region1>", (box(0, 12),))
    seen = located()(table_frames([(0, 12), (24, 12)], [(4, 12)], at=(0.20, 0.0, 1.0)), goal)
    assert where(seen, 0) == (0, 12) and where(seen, 0, camera=1) is None
    assert seen.presence[1, 0] == 0 and seen.status[0] is MaskStatus.FOUND


def test_what_the_hand_lifts_is_followed_and_its_twin_on_the_table_is_not():
    follow, goal = located(), Goal("pick up <region1>", (box(10, 12),))
    before, now = (-0.03, 0.01, 0.15), (0.05, 0.01, 0.15)  # the hand went 8 cm to the right, and
    in_hand = [(13, 13)]  # the thing with it
    follow(table_frames([(10, 12), (2, 22)], in_hand, at=before), goal)
    seen = follow(table_frames([(18, 12), (2, 22)], in_hand, at=now, time_s=0.4), goal)
    assert where(seen, 0) == (18, 12) and where(seen, 0, camera=1) == (13, 13)


def test_a_thing_that_was_pushed_is_still_it():
    follow, goal = located(), Goal("pick up <region1>", (box(6, 12),))
    follow(table_frames([(6, 12), (24, 12)], [(1, 12), (19, 12)]), goal)
    seen = follow(table_frames([(6, 7), (24, 12)], [(1, 7), (19, 12)], time_s=0.4), goal)
    assert where(seen, 0) == (6, 7) and where(seen, 0, camera=1) == (1, 7)
