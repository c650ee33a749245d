"""A head behind cameras of any sizes: frames are resized to the size that it was trained on, its
masks back to the frames' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from robot.perception.compose.masking import area_resize
from robot.perception.head.encoders import STRIDE
from robot.perception.head.mask_head import Head, MaskOutput
from robot.spaces import Camera, camera_differences
from robot.types import InputError

Ask = Callable[[UInt8[Tensor, "b 3 _ _"]], MaskOutput]


@dataclass(frozen=True)
class Look:
    """What a head says about T looks through N cameras; probabilities lie at each camera's own
    size.
    """

    probability: tuple[Float[Tensor, "t 3 _ _"], ...]
    presence_logits: Float[Tensor, "t n 2"]
    predicted_iou: Float[Tensor, "t n"]


def look_through(head: Head, frames: Sequence[UInt8[Tensor, "t 3 _ _"]], *, ask: Ask) -> Look:
    """Ask a head about T frames of each of N cameras; `ask` gets frames of one size, the cameras
    of a look side by side where they are of one size (as a head of several cameras needs them).
    """
    own_sizes = [_size_of(images) for images in frames]
    sizes = [head_size(head, size) for size in own_sizes]
    if head.cameras > 1 and len(set(sizes)) > 1:
        raise InputError(
            f"got frames of sizes {own_sizes} for a head that looks "
            f"through {head.cameras} cameras at once, expected one size; resize them or train a "
            "head with mask_head.cameras=1"
        )
    steps, cameras = len(frames[0]), len(frames)
    probability: list[Tensor] = [frames[0]] * cameras
    presence, ious = torch.empty(steps, cameras, 2), torch.empty(steps, cameras)
    for size in dict.fromkeys(sizes):
        members = [k for k in range(cameras) if sizes[k] == size]
        # channels last, as cameras give them: a head's first copy is three times faster then
        pixels = [resize_frames(frames[k], size).permute(0, 2, 3, 1) for k in members]
        output = ask(torch.stack(pixels, dim=1).flatten(0, 1).permute(0, 3, 1, 2))
        masks = output.logits.float().sigmoid().cpu().unflatten(0, (steps, len(members)))
        presence[:, members] = output.presence_logits.cpu().unflatten(0, (steps, -1))
        ious[:, members] = output.predicted_iou.cpu().unflatten(0, (steps, -1))
        for place, k in enumerate(members):
            probability[k] = resize_masks(masks[:, place], own_sizes[k])
    return Look(probability=tuple(probability), presence_logits=presence, predicted_iou=ious)


def check_cameras(head: Head, cameras: Sequence[Camera]) -> None:
    """Raise InputError, naming the cameras, unless a head of several cameras sees those of its
    training; a head of one camera takes any.
    """
    if head.cameras == 1 or not head.trained_cameras:
        return
    if found := camera_differences(head.trained_cameras, cameras, exact=False):
        raise InputError(
            f"got cameras that differ from those of the mask head: {'; '.join(found)}. Use its "
            "own cameras, or a head trained with mask_head.cameras=1, which takes any"
        )


def head_size(head: Head, size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) at which a head sees frames of `size`: that of its training, or
    as many pixels in the frame's own aspect ratio.
    """
    return size_as_trained(head.trained_cameras, size)


def size_as_trained(cameras: Sequence[Camera], size: tuple[int, int]) -> tuple[int, int]:
    """Return `head_size` for a head that was trained on these cameras; without any, the frame's
    own.
    """
    if not cameras:
        return size
    trained = cameras[0]
    (height, width), pixels = size, trained.height * trained.width
    if height * trained.width == width * trained.height:
        return trained.height, trained.width
    scale = math.sqrt(pixels / (height * width)) / STRIDE
    return max(1, round(height * scale)) * STRIDE, max(1, round(width * scale)) * STRIDE


def resize_frames(
    frames: UInt8[Tensor, "b 3 _ _"], size: tuple[int, int]
) -> UInt8[Tensor, "b 3 _ _"]:
    """Shrink frames by exact area averaging; enlarge them bilinearly."""
    if _size_of(frames) == size:
        return frames
    resized = _resize(frames.float(), size)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def resize_masks(
    masks: Float[Tensor, "b 3 _ _"], size: tuple[int, int]
) -> Float[Tensor, "b 3 _ _"]:
    """Bring probabilities back to the frame's size."""
    return masks if _size_of(masks) == size else _resize(masks, size)


def _size_of(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    if images.shape[-2] >= size[0] and images.shape[-1] >= size[1]:
        return area_resize(images, size=size)
    return F.interpolate(images, size, mode="bilinear", align_corners=False)
