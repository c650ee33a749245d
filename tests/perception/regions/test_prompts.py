"""Boxes, clicks and masks as planes, and what is averaged under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.head import ROLES, Prompts, RegionHead, _place
from robot.perception.regions.prompts import Prompt, area_shrunk, overlap, plane_of
from robot.perception.sources import NoMask
from robot.types import Frame, Goal, Region
from robot.words.reader import GoalReader


def test_a_box_covers_pixels_by_their_share():
    plane, kind = plane_of(Region("a", box=(1.0, 0.5, 2.5, 2.0)), own=(4, 4), size=(4, 4))
    assert kind is Prompt.BOX
    np.testing.assert_allclose(
        plane, [[0, 0.5, 0.25, 0], [0, 1, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )


def test_a_box_of_a_large_frame_is_drawn_at_the_heads_size():
    plane, _ = plane_of(Region("a", box=(8, 4, 16, 12)), own=(16, 16), size=(4, 4))
    np.testing.assert_allclose(plane, [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])


def test_the_most_exact_instruction_counts():
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True
    plane, kind = plane_of(Region("a", box=(0, 0, 4, 4), mask=mask), own=(4, 4), size=(2, 2))
    assert kind is Prompt.MASK
    np.testing.assert_allclose(plane, [[0, 0.25], [0, 0]])


@pytest.mark.parametrize("click", [(0.0, 0.0), (3.99, 3.99), (2.2, 1.7)])
def test_a_click_covers_the_pixel_that_was_clicked(click):
    plane, kind = plane_of(Region("a", click=click), own=(4, 4), size=(32, 32))
    assert kind is Prompt.CLICK
    assert plane[int(click[1] * 8), int(click[0] * 8)] == 1 and plane.sum() <= 16


def test_no_region_is_no_prompt():
    plane, kind = plane_of(None, own=(4, 4), size=(4, 4))
    assert kind is Prompt.NONE and not plane.any()


def test_overlap_is_the_length_within_each_cell():
    np.testing.assert_allclose(overlap(0.25, 2.5, 4), [0.75, 1, 0.5, 0])


def test_shrinking_keeps_the_area_of_two_pixels():
    plane = np.zeros((12, 18), np.float32)
    plane[5, 7] = plane[6, 7] = 1
    small = area_shrunk(plane, (5, 4))
    assert small.max() > 0
    assert small.sum() * (12 * 18) / (5 * 4) == pytest.approx(2, rel=1e-5)


def test_the_place_of_a_region_is_its_box_and_the_root_of_its_area():
    coverage = torch.zeros(1, ROLES, 8, 16)
    coverage[0, 0, 2:4, 4:12] = 1
    place = _place(coverage)
    torch.testing.assert_close(place[0, 0], torch.tensor([0.25, 0.25, 0.75, 0.5, 0.125**0.5]))
    assert place[0, 1, 4] == 0


def a_head() -> RegionHead:
    torch.manual_seed(0)
    return RegionHead(widths=(8, 8, 8), dim=16, heads=2, depth=1).eval()


def looks(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2 * count, 3, 32, 32), dtype=torch.uint8, generator=generator)


@torch.inference_mode()
def test_one_pixel_is_enough_to_be_somebody():
    head, coverage = a_head(), torch.zeros(2, ROLES, 32, 32)
    coverage[0, 0, 17, 9] = 0.3  # a third of a pixel
    identity = head.identify(head.encode(looks(1)), coverage)
    absent = head.unseen + head.role
    assert not torch.allclose(identity[0, 0], absent[0])
    torch.testing.assert_close(identity[1], absent)
    torch.testing.assert_close(identity[0, 1], absent[1])


@torch.inference_mode()
def test_looks_of_a_batch_do_not_know_each_other():
    head, frames = a_head(), looks(3)
    planes = torch.zeros(6, ROLES, 32, 32)
    planes[:, 0, 4:9, 6:12] = 1
    prompts = Prompts(planes, torch.full((6, ROLES), int(Prompt.BOX)))

    def ask(frames, prompts):
        pyramid = head.encode(frames)
        return head.look(pyramid, prompts, head.identify(pyramid, prompts.planes))

    together = ask(frames, prompts)
    alone = ask(frames[2:4], Prompts(planes[2:4], prompts.kinds[2:4]))
    torch.testing.assert_close(together.logits[2:4], alone.logits, atol=1e-5, rtol=1e-5)
    assert together.logits.shape == (6, 3, 32, 32) and alone.presence_logits.shape == (2, 2)


@torch.inference_mode()
def test_the_shipped_head_outlines_what_a_box_holds():
    image = np.full((128, 128, 3), 190, np.uint8)
    image[60:80, 50:70] = (200, 20, 20)  # a red square on a pale table, its twin beside it
    image[60:80, 90:110] = (200, 20, 20)
    frames = [Frame("agentview", image), Frame("wrist", np.full((128, 128, 3), 190, np.uint8))]
    masks = RegionMasks(NoMask(), "tabletop", reader=GoalReader.of("tabletop"))
    goal = Goal("pick up <region1>", (Region("agentview", box=(48, 58, 72, 82)),))
    seen = masks(frames, goal)
    outlined = seen.probability[0][0] > 0.5
    assert outlined[62:78, 52:68].mean() > 0.9
    assert not outlined[:, 86:].any()  # nor its twin
