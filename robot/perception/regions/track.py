"""The region head from look to look: what was pointed at is outlined, found in the other cameras,
and found again.

`point` begins, `seen_before` begins with masks of an earlier look, `follow` goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from robot.perception.head.look import resize_frames, size_as_trained
from robot.perception.head.presence import FOUND_ABOVE
from robot.perception.regions.goals import regions_of
from robot.perception.regions.head import ROLES, Prompts, RegionHead, RegionOutput
from robot.perception.regions.locate import (
    Located,
    accept,
    expected,
    located_by,
    moved_prompts,
    pointed_elsewhere,
    settle,
    viewpoints_of,
)
from robot.perception.regions.prompts import Prompt, area_shrunk, plane_of
from robot.system.device import pick_dtype
from robot.types import Frame, Goal, InputError

SEEN_ABOVE = 0.5  # presence in one camera, calibrated: below it that camera's mask is empty
SMALLEST_PX = 4  # of a mask that is remembered
SWITCH = 0.1  # of agreement, by which another explanation of where things are has to be better


@dataclass(frozen=True)
class Followed:
    """What is known of the regions of a goal: their identity (C, R, dim), their latest masks per
    camera at the head's size, and which Prompt these are.
    """

    identity: Tensor
    prompts: Prompts
    time_s: float
    found_s: float  # when the target was last found
    located: Located | None = None  # where calibrated cameras say that the regions are


@dataclass(frozen=True)
class Seen:
    """Masks of the regions and the gripper, (C, 3, h, w) at the head's size, presence and predicted
    IoU (C, R); masks that a camera does not see are empty.
    """

    masks: Float[Tensor, "c 3 h w"]
    presence: Float[Tensor, "c r"]
    predicted_iou: Float[Tensor, "c r"]


@torch.inference_mode()
def point(
    head: RegionHead,
    frames: Sequence[Frame],
    goal: Goal,
    roles: Sequence[int | None],
    *,
    found_above: float = FOUND_ABOVE,
) -> tuple[Seen, Followed]:
    """Outline the regions of a goal where they are given and find them in the other cameras; what
    is then outlined is their identity.
    """
    planes, size = _frames_for(head, frames)
    given = [{} if index is None else regions_of(goal, index) for index in roles]
    drawn = [
        [plane_of(of_role.get(f.camera), own=size_of(f), size=size) for of_role in given]
        for f in frames
    ]
    prompts = _padded(
        head,
        Prompts(
            planes=torch.from_numpy(np.array([[plane for plane, _ in row] for row in drawn])),
            kinds=torch.tensor([[int(kind) for _, kind in row] for row in drawn]),
        ),
    )
    viewpoints = viewpoints_of(frames, size, cameras=head.cameras)
    with _fast(head):
        pyramid = head.encode(planes)
        seen = _seen(head, head.look(pyramid, prompts, head.identify(pyramid, prompts.planes)))
        located = located_by(_regions(seen), prompts, viewpoints)
        if located.is_useful:
            prompts = pointed_elsewhere(located, prompts)
            again = head.look(pyramid, prompts, head.identify(pyramid, prompts.planes))
            seen, located = _checked(_seen(head, again), located)
        # what was outlined says more of the thing than a box around it
        outlined = Prompts((seen.masks[:, :ROLES] > 0.5).float(), prompts.kinds)
        shown = torch.where(_enough(outlined.planes), outlined.planes, prompts.planes)
        identity = head.identify(pyramid, shown)
    time_s = min(frame.time_s for frame in frames)
    empty = Prompts(torch.zeros_like(prompts.planes), torch.zeros_like(prompts.kinds))
    return seen, _remember(
        seen, Followed(identity, empty, time_s, time_s, located), time_s, found_above=found_above
    )


@torch.inference_mode()
def seen_before(
    head: RegionHead, frames: Sequence[Frame], targets: Sequence[Float32[np.ndarray, "_ _"]]
) -> Followed:
    """Return what is known of a target by its masks at an earlier look, at the frames' sizes."""
    planes, size = _frames_for(head, frames)
    shown = torch.zeros(head.cameras, ROLES, *size)
    for camera, target in enumerate(targets):
        shown[camera, 0] = torch.from_numpy(area_shrunk((target > 0.5).astype(np.float32), size))
    covered = _enough(shown)[..., 0, 0]
    prompts = Prompts(shown, torch.where(covered, int(Prompt.BEFORE), int(Prompt.NONE)))
    viewpoints = viewpoints_of(frames, size, cameras=head.cameras)
    with _fast(head):
        identity = head.identify(head.encode(planes), shown)
    time_s = min(frame.time_s for frame in frames)
    located = located_by(shown.numpy(), prompts, viewpoints)
    return Followed(identity, prompts, time_s, time_s, located)


@torch.inference_mode()
def follow(
    head: RegionHead, frames: Sequence[Frame], known: Followed, *, found_above: float = FOUND_ABOVE
) -> tuple[Seen, Followed]:
    """Find again what is known, where it is now."""
    planes, size = _frames_for(head, frames)
    viewpoints = viewpoints_of(frames, size, cameras=head.cameras)
    time_s = min(frame.time_s for frame in frames)
    with _fast(head):
        pyramid = head.encode(planes)
        if known.located is None or not known.located.is_useful:
            seen = _seen(head, head.look(pyramid, known.prompts, known.identity))
            return seen, _remember(seen, known, time_s, found_above=found_above)
        best = None
        for guess in expected(known.located, viewpoints):
            prompts = moved_prompts(guess, known.prompts, known.located)
            output = _seen(head, head.look(pyramid, prompts, known.identity))
            accepted = accept(guess, _regions(output))
            agreement = float((output.presence.numpy() * accepted.agreement)[:, 0].sum())
            if best is None or agreement > best[0] + SWITCH:
                best = agreement, output, guess
    assert best is not None
    seen, located = _checked(best[1], best[2])
    known = replace(known, located=located)
    return seen, _remember(seen, known, time_s, found_above=found_above)


def _checked(seen: Seen, guess: Located) -> tuple[Seen, Located]:
    """Return masks without what lies elsewhere than the regions do, and where these are by them."""
    regions = _exclusive(seen.masks[:, :ROLES])
    accepted = accept(guess, regions.numpy())
    regions = regions * torch.from_numpy(accepted.pixels)
    presence = seen.presence * torch.from_numpy(accepted.agreement > 0)
    masks = torch.cat([regions, seen.masks[:, ROLES:]], dim=1)
    return replace(seen, masks=masks, presence=presence), settle(guess, regions.numpy())


def _exclusive(regions: Float[Tensor, "c r h w"]) -> Float[Tensor, "c r h w"]:
    """Return masks in which no pixel is of two things: it is of the likelier one."""
    return torch.where(
        regions < regions.amax(dim=1, keepdim=True), regions.clamp(max=0.49), regions
    )


def _regions(seen: Seen) -> np.ndarray:
    """Return the masks of the regions (C, R, h, w) without the gripper's."""
    return seen.masks[:, :ROLES].numpy()


def _remember(seen: Seen, known: Followed, time_s: float, *, found_above: float) -> Followed:
    """Return what is known after a look: the masks of what was seen, the old ones of the rest."""
    now = (seen.masks[:, :ROLES] > 0.5).float()
    fresh = _enough(now)
    old_kinds = torch.where(known.prompts.kinds > 0, int(Prompt.EARLIER), int(Prompt.NONE))
    prompts = Prompts(
        planes=torch.where(fresh, now, known.prompts.planes),
        kinds=torch.where(fresh[..., 0, 0], int(Prompt.BEFORE), old_kinds),
    )
    found = bool(seen.presence[:, 0].max() >= found_above)
    return replace(
        known, prompts=prompts, time_s=time_s, found_s=time_s if found else known.found_s
    )


def _seen(head: RegionHead, output: RegionOutput) -> Seen:
    """Return a head's output with what a camera does not see emptied."""
    presence = head.presence_probability(output.presence_logits)
    masks = output.logits.sigmoid()
    masks[:, :ROLES] *= (presence >= SEEN_ABOVE)[..., None, None]
    return Seen(masks=masks, presence=presence, predicted_iou=output.predicted_iou)


def _enough(planes: Float[Tensor, "c r h w"]) -> Bool[Tensor, "c r 1 1"]:
    return planes.sum(dim=(2, 3), keepdim=True) >= SMALLEST_PX


def _frames_for(head: RegionHead, frames: Sequence[Frame]) -> tuple[Tensor, tuple[int, int]]:
    """Return frames at the head's size, black where a camera is missing, and that size."""
    if len(frames) > head.cameras:
        raise InputError(
            f"got {len(frames)} cameras, expected at most {head.cameras}, as many as the region "
            "head looks through; leave some out"
        )
    sizes = {size_as_trained(head.trained_cameras, size_of(frame)) for frame in frames}
    if len(sizes) > 1:
        raise InputError(
            f"got frames that a region head would see at sizes {sorted(sizes)}, expected one; "
            "resize them to one aspect ratio"
        )
    size = sizes.pop()
    planes = [
        resize_frames(torch.from_numpy(frame.image).permute(2, 0, 1)[None], size)
        for frame in frames
    ]
    missing = head.cameras - len(frames)
    planes += [torch.zeros_like(planes[0])] * missing
    return torch.cat(planes).contiguous(), size


def size_of(frame: Frame) -> tuple[int, int]:
    height, width = frame.image.shape[:2]
    return height, width


def _padded(head: RegionHead, prompts: Prompts) -> Prompts:
    """Return prompts with nothing in the cameras that are missing."""
    missing = head.cameras - len(prompts.kinds)
    if not missing:
        return prompts
    return Prompts(
        planes=torch.cat(
            [prompts.planes, torch.zeros_like(prompts.planes[:1]).expand(missing, -1, -1, -1)]
        ),
        kinds=torch.cat([prompts.kinds, torch.zeros_like(prompts.kinds[:1]).expand(missing, -1)]),
    )


def _fast(head: RegionHead) -> torch.autocast:
    """Return the precision that pays on the head's device."""
    device = head.device
    dtype = pick_dtype("auto", device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
