import math

import pytest
import torch

from robot.perception.head.metrics import auroc, iou


def square(top: int, left: int, side: int = 4) -> torch.Tensor:
    mask = torch.zeros(12, 12)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_iou_of_squares_that_overlap_by_half_is_a_third():
    assert iou(square(0, 0), square(0, 2)).item() == pytest.approx(8 / 24)


def test_iou_is_per_sample():
    masks, truth = (
        torch.stack([square(0, 0), square(0, 0)]),
        torch.stack([square(0, 0), square(6, 6)]),
    )
    assert iou(masks, truth).tolist() == [1, 0]


def test_iou_of_two_empty_masks_is_undefined():
    assert math.isnan(iou(torch.zeros(4, 4), torch.zeros(4, 4)))


def test_iou_of_a_mask_of_nothing_is_zero():
    assert iou(square(0, 0), torch.zeros(12, 12)) == 0


def test_auroc_counts_pairs_in_order_and_ties_half():
    scores, truth = torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert auroc(scores, truth) == pytest.approx(3.5 / 4)


def test_auroc_of_one_class_is_undefined():
    assert math.isnan(auroc(torch.rand(3), torch.ones(3)))
