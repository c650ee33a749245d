"""Frame + mask -> the composite that the policy sees. Pure functions and small deployments; nothing
here is learned.

A deployment decides how pixels outside the mask are hidden (IVM's overlay, blur, greyscale, overlay
+ crop; or the mask as extra channels only). Whatever it does, the gripper counts as kept, and the
coverage of each role travels with the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from robot.perception.names import check_edge
from robot.types import MASK_CHANNELS, InputError

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def mask_from_labels(labels: UInt8[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
    """Split a label map into one binary channel per role. Inverse: `labels_from_mask`."""
    roles = torch.tensor(
        [role.value for role in MASK_CHANNELS], dtype=labels.dtype, device=labels.device
    )
    return (labels[:, None] == roles[:, None, None]).float()


def labels_from_mask(
    mask: Float[Tensor, "b 3 h w"], *, threshold: float = 0.5
) -> UInt8[Tensor, "b h w"]:
    """Give every pixel its most probable role, or background where none exceeds the threshold.
    Inverse: `mask_from_labels`.
    """
    roles = torch.tensor(
        [role.value for role in MASK_CHANNELS], dtype=torch.uint8, device=mask.device
    )
    return (_one_role(mask, threshold=threshold) * roles[:, None, None]).sum(
        dim=1, dtype=roles.dtype
    )


def keep(
    probability: Float[Tensor, "b 3 h w"], *, threshold: float, dilation: int
) -> Float[Tensor, "b 3 h w"]:
    """Threshold (and dilate by `dilation` pixels); a pixel belongs to one role only, so that the
    union is the sum.
    """
    if dilation:
        probability = F.max_pool2d(probability, 2 * dilation + 1, stride=1, padding=dilation)
    return _one_role(probability, threshold=threshold).to(probability.dtype)


def _one_role(
    probability: Float[Tensor, "b 3 h w"], *, threshold: float
) -> Bool[Tensor, "b 3 h w"]:
    """Return the most probable role of each pixel where it exceeds the threshold; a tie goes to the
    first. Without indices, which take twice the time.
    """
    strongest = probability.amax(dim=1)
    free, chosen = strongest > threshold, []
    for role in probability.unbind(dim=1):
        chosen.append((role == strongest) & free)
        free = free & ~chosen[-1]
    return torch.stack(chosen, dim=1)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How a mask is applied to a frame: threshold the probability, dilate, soften the edge (the
    order of IVM's deployment).

    `dilation` is in pixels of the full frame, `dilation_share` in shares of its height, on top; the
    kernel is a square of 2 * radius + 1 pixels. `edge_sigma` is the Gaussian that blurs the mask's
    edge, in pixels; 0 leaves it hard. IVM: dilation_share .05 and a soft edge.
    """

    threshold: float = 0.5
    dilation: int = 0
    dilation_share: float = 0.0
    edge_sigma: float = 0.0

    def __post_init__(self) -> None:
        check_edge(
            threshold=self.threshold,
            dilation=self.dilation,
            dilation_share=self.dilation_share,
            edge_sigma=self.edge_sigma,
        )

    def coverage(self, probability: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return how far each pixel shows target, destination and gripper; the roles of a pixel sum
        to at most 1.
        """
        radius = self.dilation + int(self.dilation_share * probability.shape[-2])
        hard = keep(probability, threshold=self.threshold, dilation=radius)
        return gaussian_blur(hard, sigma=self.edge_sigma) if self.edge_sigma else hard

    def show(
        self, rgb: Float[Tensor, "b 3 h w"], kept: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Hide what is not kept."""
        raise NotImplementedError

    def window(self, kept: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 4"] | None:
        """Return the part of each frame to look at, (x0, y0, x1, y1) in pixels; None is the whole
        frame.
        """
        del kept
        return None

    def for_camera(self, index: int) -> Deployment:
        """Return what is deployed on the camera at this place of the camera axis."""
        del index
        return self


@dataclass(frozen=True, kw_only=True)
class Overlay(Deployment):
    """Paint everything outside the mask with one grey value in [0, 1]."""

    fill: float = 0.5

    def show(self, rgb: Tensor, kept: Tensor) -> Tensor:
        return self.fill + kept * (rgb - self.fill)


@dataclass(frozen=True, kw_only=True)
class Blur(Deployment):
    """Blur the frame outside the mask: a Gaussian of `sigma` pixels."""

    sigma: float = 6.0

    def show(self, rgb: Tensor, kept: Tensor) -> Tensor:
        return torch.lerp(gaussian_blur(rgb, sigma=self.sigma), rgb, kept)


@dataclass(frozen=True, kw_only=True)
class Greyscale(Deployment):
    """Take the colour from everything outside the mask."""

    def show(self, rgb: Tensor, kept: Tensor) -> Tensor:
        grey = torch.einsum("bchw,c->bhw", rgb, rgb.new_tensor(_LUMINANCE))[:, None]
        return torch.lerp(grey.expand_as(rgb), rgb, kept)


@dataclass(frozen=True, kw_only=True)
class Crop(Overlay):
    """Overlay, then zoom to the square around the mask, wider by `margin` of its side on each side,
    inside the frame.
    """

    margin: float = 0.1

    def window(self, kept: Tensor) -> Tensor:
        return square_around(kept, margin=self.margin)


@dataclass(frozen=True, kw_only=True)
class CropBox(Overlay):
    """Overlay, then zoom to the box around the mask, stretched to the picture (IVM's overlay +
    crop).
    """

    def window(self, kept: Tensor) -> Tensor:
        return box_around(kept)


@dataclass(frozen=True, kw_only=True)
class Channel(Deployment):
    """Hide nothing: the policy gets the frame, and the masks as channels."""

    def show(self, rgb: Tensor, kept: Tensor) -> Tensor:
        del kept
        return rgb


@dataclass(frozen=True, kw_only=True)
class Unmasked(Channel):
    """Hide nothing and say nothing: the coverage is one everywhere, whatever the mask."""

    def coverage(self, probability: Tensor) -> Tensor:
        return torch.ones_like(probability)


def compose(
    frames: Shaped[np.ndarray, "b _ _ _"] | Shaped[Tensor, "b _ _ _"],
    probability: Float[np.ndarray, "m 3 _ _"] | Float[Tensor, "m 3 _ _"],
    *,
    deployment: Deployment,
    size: int | tuple[int, int],
) -> Float[Tensor, "b 6 _ _"]:
    """Apply masks to frames at full resolution, then shrink both by exact area averaging, to a
    square of `size` pixels or to (height, width).

    Frames are uint8 (B, H, W, 3), or (B, 3, H, W) as a tensor; masks are (B, 3, H, W). Other frames
    or sizes: InputError. Returns composites in [0, 1]: RGB, then coverage of target, destination
    and gripper.
    """
    rgb = _planes(torch.as_tensor(frames))
    mask = torch.as_tensor(probability)
    if rgb.shape[-2:] != mask.shape[-2:] or len(rgb) != len(mask):
        raise InputError(
            f"got frames {tuple(rgb.shape)} and masks {tuple(mask.shape)}, expected one mask per "
            "frame at the frame's size"
        )
    # planes that lie like the masks: mixed layouts make every step below slower
    rgb = rgb.to(mask.dtype, memory_format=torch.contiguous_format) / 255
    coverage = deployment.coverage(mask)
    kept = coverage.sum(dim=1, keepdim=True).clamp_(max=1)  # soft edges of two roles add up
    composite = torch.cat([deployment.show(rgb, kept), coverage], dim=1)
    return area_resize(composite, size=size, window=deployment.window(kept))


def compose_cameras(
    frames: Sequence[Shaped[np.ndarray, "t _ _ 3"]],
    probability: Sequence[Float[np.ndarray, "t 3 _ _"] | Float[Tensor, "t 3 _ _"]],
    *,
    deployment: Deployment,
    size: int,
) -> Float[Tensor, "t n 6 size size"]:
    """Compose T frames of each of N cameras, every camera at its own size."""
    return torch.stack(
        [
            compose(images, masks, deployment=deployment.for_camera(camera), size=size)
            for camera, (images, masks) in enumerate(zip(frames, probability, strict=True))
        ],
        dim=1,
    )


def to_uint8(composites: Float[Tensor, "*b 6 h w"]) -> UInt8[Tensor, "*b 6 h w"]:
    """Quantise composites for a training cache. Inverse: `from_uint8`."""
    return composites.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def from_uint8(cached: UInt8[Tensor, "*b 6 h w"]) -> Float[Tensor, "*b 6 h w"]:
    """Restore composites from a training cache. Inverse: `to_uint8`, up to 1/510."""
    return cached.float() / 255


def area_resize(
    images: Float[Tensor, "b c h w"],
    *,
    size: int | tuple[int, int],
    window: Float[Tensor, "b 4"] | None = None,
) -> Float[Tensor, "b c _ _"]:
    """Resample to a square of `size` pixels or to (height, width): each output pixel is the mean
    over the area that it covers in the window, exactly.
    """
    height, width = images.shape[-2:]
    rows_out, columns_out = (size, size) if isinstance(size, int) else size
    if window is None:
        if height % rows_out == 0 and width % columns_out == 0:  # the same numbers, faster
            return _block_means(images, height // rows_out, width // columns_out)
        window = images.new_tensor([[0, 0, width, height]])  # one for all
    x0, y0, x1, y1 = window.unbind(dim=1)
    rows = _area_matrix(y0, y1, cells=rows_out, pixels=height)
    columns = _area_matrix(x0, x1, cells=columns_out, pixels=width)
    return rows[:, None] @ images @ columns[:, None].transpose(-1, -2)


def _block_means(
    images: Float[Tensor, "b c h w"], rows: int, columns: int
) -> Float[Tensor, "b c _ _"]:
    """Return the means of blocks of pixels: F.avg_pool2d in whole rows, a third of its time."""
    high = reduce(torch.add, (images[:, :, row::rows] for row in range(rows)))
    wide = reduce(torch.add, (high[..., column::columns] for column in range(columns)))
    return wide / (rows * columns)


def _area_matrix(
    start: Float[Tensor, " b"], stop: Float[Tensor, " b"], *, cells: int, pixels: int
) -> Float[Tensor, "b cells pixels"]:
    """Return the share of each pixel in each of the equal cells that divide [start, stop)."""
    side = (stop - start)[:, None, None] / cells
    left = start[:, None, None] + side * torch.arange(cells, device=start.device)[:, None]
    pixel = torch.arange(pixels, device=start.device)
    overlap = torch.minimum(left + side, pixel + 1) - torch.maximum(left, pixel)
    return overlap.clamp(min=0) / side


def square_around(kept: Float[Tensor, "b 1 h w"], *, margin: float) -> Float[Tensor, "b 4"]:
    """Return the smallest square window around each mask, widened and moved into the frame; an
    empty mask gets the frame.
    """
    height, width = kept.shape[-2:]
    x0, x1 = _extent(kept.amax(dim=(1, 2)))
    y0, y1 = _extent(kept.amax(dim=(1, 3)))
    side = (torch.maximum(x1 - x0, y1 - y0) * (1 + 2 * margin)).clamp(max=min(height, width))
    left = ((x0 + x1 - side) / 2).clamp(min=0).minimum(width - side)
    top = ((y0 + y1 - side) / 2).clamp(min=0).minimum(height - side)
    square = torch.stack([left, top, left + side, top + side], dim=1)
    whole = square.new_tensor([0, 0, width, height]).expand_as(square)
    return torch.where(side[:, None] > 0, square, whole)


def box_around(kept: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 4"]:
    """Return the box (x0, y0, x1, y1) of all pixels above 0, maxima exclusive; an empty mask gets
    the frame.
    """
    height, width = kept.shape[-2:]
    x0, x1 = _extent(kept.amax(dim=(1, 2)))
    y0, y1 = _extent(kept.amax(dim=(1, 3)))
    box = torch.stack([x0, y0, x1, y1], dim=1)
    return torch.where(
        (x1 > x0)[:, None], box, box.new_tensor([0, 0, width, height]).expand_as(box)
    )


def _extent(line: Float[Tensor, "b n"]) -> tuple[Tensor, Tensor]:
    """Return the first and one past the last non-zero position of each row; (0, 0) where there is
    none.
    """
    there = (line > 0).to(line.dtype)
    first, last = there.argmax(dim=1), line.shape[1] - there.flip(1).argmax(dim=1)
    present = there.amax(dim=1)
    return first * present, last * present


def gaussian_blur(images: Float[Tensor, "b c h w"], *, sigma: float) -> Float[Tensor, "b c h w"]:
    """Blur by a Gaussian of `sigma` pixels, the border repeated: rows, then columns, each one
    matrix product.
    """
    rows, columns = (_blur_matrix(side, sigma=sigma).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _blur_matrix(pixels: int, *, sigma: float) -> Float[Tensor, "pixels pixels"]:
    """Return the weight of each pixel (column) in each blurred one (row)."""
    offsets = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    sources = (torch.arange(pixels)[:, None] + offsets).clamp(
        0, pixels - 1
    )  # the border pixel stands for all beyond it
    return torch.zeros(pixels, pixels).scatter_add_(
        1, sources, (weights / weights.sum()).expand_as(sources)
    )


def _planes(frames: Shaped[Tensor, "b _ _ _"]) -> UInt8[Tensor, "b 3 h w"]:
    """Accept frames channels-last (as cameras give them) or channels-first (as batches
    hold them).
    """
    if frames.dtype == torch.uint8 and frames.ndim == 4:
        if frames.shape[-1] == 3:
            return frames.permute(0, 3, 1, 2)
        if frames.shape[1] == 3:
            return frames
    raise InputError(
        f"got frames {tuple(frames.shape)} {frames.dtype}, expected uint8 (B, H, W, 3) or (B, 3, "
        "H, W), stack RGB as uint8"
    )
