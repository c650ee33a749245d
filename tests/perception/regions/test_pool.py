"""Pooling under boxes and masks, against what it should be by hand and by plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from robot.perception.regions.pool import (
    BoxToken,
    MaskToken,
    boxes_of,
    is_visible,
    mask_pool,
    roi_align,
)


def bilinear(features: np.ndarray, y: float, x: float) -> np.ndarray:
    """Sample (C, H, W) at a point of the feature map, its border going on outside."""
    height, width = features.shape[1:]
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    y0, x0 = int(math.floor(y)), int(math.floor(x))
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    fy, fx = y - y0, x - x0
    upper = (1 - fx) * features[:, y0, x0] + fx * features[:, y0, x1]
    lower = (1 - fx) * features[:, y1, x0] + fx * features[:, y1, x1]
    return (1 - fy) * upper + fy * lower


def reference(features: Tensor, boxes: Tensor, *, stride: int, size: int, samples: int) -> Tensor:
    """RoIAlign with plain loops: the mean of samples x samples points in every bin."""
    batch, count = boxes.shape[:2]
    out = torch.zeros(batch, count, features.shape[1], size, size)
    for b in range(batch):
        plane = features[b].numpy().astype(np.float64)
        for r in range(count):
            x0, y0, x1, y1 = (float(v) / stride - 0.5 for v in boxes[b, r])
            for row in range(size):
                for column in range(size):
                    points = [
                        bilinear(
                            plane,
                            y0 + (y1 - y0) * (row + (i + 0.5) / samples) / size,
                            x0 + (x1 - x0) * (column + (j + 0.5) / samples) / size,
                        )
                        for i in range(samples)
                        for j in range(samples)
                    ]
                    out[b, r, :, row, column] = torch.from_numpy(np.mean(points, axis=0))
    return out


@pytest.mark.parametrize(("stride", "size", "samples"), [(4, 7, 2), (2, 3, 1), (16, 5, 2)])
def test_roi_align_is_that_of_plain_loops(stride, size, samples):
    generator = torch.Generator().manual_seed(stride)
    features = torch.randn(2, 3, 128 // stride, 96 // stride, generator=generator)
    corner = torch.rand(2, 4, 2, generator=generator) * torch.tensor([80.0, 110.0])
    boxes = torch.cat([corner, corner + 1 + 30 * torch.rand(2, 4, 2, generator=generator)], dim=-1)
    found = roi_align(features, boxes, stride=stride, size=size, samples=samples)
    expected = reference(features, boxes, stride=stride, size=size, samples=samples)
    assert (found - expected).abs().max() <= 1e-4


def test_a_box_of_one_cell_is_that_cell():
    features = torch.arange(16.0).view(1, 1, 4, 4)
    box = torch.tensor([[[8.0, 4.0, 12.0, 8.0]]])  # row 1, column 2 at stride 4
    assert roi_align(features, box, stride=4, size=1, samples=1).item() == 6.0


def test_a_mask_pools_its_cells_by_the_area_that_it_covers():
    features = torch.tensor([1.0, 5.0]).view(1, 1, 1, 2)
    mask = torch.zeros(1, 1, 2, 4)
    mask[..., 1:3], mask[..., 0, 3] = 1.0, 1.0  # 2 px of the first cell, 3 of the second
    assert mask_pool(features, mask, stride=2).item() == pytest.approx((2 * 1 + 3 * 5) / 5)


@pytest.mark.parametrize("place", [(0, 0), (63, 40), (126, 127)])
def test_a_mask_of_two_pixels_has_a_token_at_every_level(place):
    row, column = place
    mask = torch.zeros(1, 1, 128, 128)
    mask[0, 0, row : row + 2, column] = 1.0
    for stride in (2, 4, 8, 16):
        features = torch.ones(1, 3, 128 // stride, 128 // stride)
        assert mask_pool(features, mask, stride=stride).eq(1.0).all()


def test_an_empty_mask_is_not_visible_and_pools_to_nothing():
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 1, 3, 4] = 1.0
    assert is_visible(masks).tolist() == [[False, True]]
    assert mask_pool(torch.ones(1, 2, 8, 8), masks, stride=4)[0, 0].eq(0.0).all()


def test_boxes_are_the_smallest_around_masks():
    masks = torch.zeros(1, 2, 16, 24)
    masks[0, 0, 3:7, 10:20] = 1.0
    assert boxes_of(masks)[0].tolist() == [[10, 3, 20, 7], [0, 0, 24, 16]]


def test_tokens_of_regions_do_not_depend_on_each_other():
    torch.manual_seed(0)
    levels = [torch.randn(1, 8, 64 // k, 64 // k) for k in (1, 2)]
    box_token = BoxToken(channels=8, strides=(1, 2), dim=16)
    mask_token = MaskToken(widths=(8, 8), strides=(1, 2), dim=16)
    masks = torch.zeros(1, 3, 64, 64)
    for k in range(3):
        masks[0, k, 8 * k : 8 * k + 9, 5 : 20 + k] = 1.0
    boxes = boxes_of(masks)
    together = box_token(levels, boxes, height=64, width=64) + mask_token(levels, masks, boxes)
    for k in range(3):
        one = slice(k, k + 1)
        alone = box_token(levels, boxes[:, one], height=64, width=64)
        alone = alone + mask_token(levels, masks[:, one], boxes[:, one])
        assert (together[:, one] - alone).abs().max() < 1e-5
