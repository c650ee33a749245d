"""Where the masks are, in a few numbers: what a discriminator of demonstrations needs of a picture,
and too little to know it by.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from robot.types import MASK_CHANNELS

ROLES = len(MASK_CHANNELS)  # target, destination, gripper: the last channels of a composite
MOMENTS = 4  # per role: visible (0 or 1), area, x, y
OFFSETS = 2 * 2  # x and y from gripper to target, from target to destination
PER_CAMERA = ROLES * MOMENTS + OFFSETS
SMALLEST_AREA = (
    1e-3  # share of the picture below which a role counts as out of sight: one pixel of 32 x 32
)
# brings the areas of objects, which fill a few hundredths to a quarter of a picture, near 1
AREA_SCALE = 4.0


def mask_geometry(images: Float[Tensor, "b n 6 h w"]) -> Float[Tensor, "b g"]:
    """Return area and centre of every role in every camera, and how they lie to each other; g = n *
    PER_CAMERA.

    Centres and offsets are in half pictures: x from -1 (left) to 1 (right), y from -1 (top) to 1
    (bottom). What is out of sight, and an offset to it, is 0.
    """
    cover = images[:, :, -ROLES:].float()
    x, y = (
        torch.linspace(-1, 1, side, device=images.device)
        for side in (cover.shape[-1], cover.shape[-2])
    )
    area = cover.mean((-1, -2))
    visible = (area > SMALLEST_AREA).float()
    mean = torch.stack([(cover.mean(-2) * x).mean(-1), (cover.mean(-1) * y).mean(-1)], dim=-1)
    centre = mean / area.clamp(min=SMALLEST_AREA)[..., None] * visible[..., None]
    of_roles = torch.cat(
        [torch.stack([visible, AREA_SCALE * area], dim=-1), centre], dim=-1
    )  # (b, n, 3, 4)
    target, destination, gripper = centre.unbind(-2)  # each (b, n, 2)
    seen = visible[..., None].unbind(-2)
    offsets = [(target - gripper) * seen[0] * seen[2], (destination - target) * seen[0] * seen[1]]
    return torch.cat([of_roles.flatten(1), torch.cat(offsets, dim=-1).flatten(1)], dim=-1)
