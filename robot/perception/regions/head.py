"""The region head: frames and prompts -> the same things in every camera, now.

A prompt is a box, a click, a mask, or the mask of the look before; one network therefore outlines
what a box holds, finds it in the other camera and follows it from look to look. What the thing
looked like when it was pointed at travels along as a token per camera: its identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from robot.checkpoint import SHIPPED, cameras_of, load
from robot.perception.head.decoder import MaskDecoder, pointwise, to_tokens
from robot.perception.head.encoders import CELL, Film, ImageEncoder
from robot.perception.head.losses import coarse_loss, iou_loss, mask_loss
from robot.perception.head.presence import CalibratedPresence
from robot.perception.names import check_head_sizes
from robot.perception.regions.batch import RegionBatch
from robot.perception.regions.pool import boxes_of, is_visible, mask_pool
from robot.perception.regions.prompts import Prompt
from robot.spaces import Camera
from robot.types import InputError

KIND = "region_head"
FILE_NAME = "region_head.safetensors"
ROLES = 2  # regions at once; the third mask is the gripper
COARSE_WEIGHT, PRESENCE_WEIGHT, IOU_WEIGHT = 0.5, 0.3, 0.1  # of the loss; the masks' is 1
PLACE = 5  # numbers that say where a region is: its box and its area, in shares of the frame


@dataclass(frozen=True)
class Prompts:
    """What is known of R regions in B frames: coverage per pixel, and which Prompt it is."""

    planes: Float[Tensor, "b r h w"]
    kinds: Int[Tensor, "b r"]


@dataclass(frozen=True)
class RegionOutput:
    """What the head says about B frames: mask logits of (region 1, region 2, gripper), logits of
    whether each region is visible, uncalibrated, and the IoU in [0, 1] that it expects of them.
    """

    logits: Float[Tensor, "b 3 h w"]
    coarse_logits: Float[Tensor, "b 3 h8 w8"]
    presence_logits: Float[Tensor, "b 2"]
    predicted_iou: Float[Tensor, "b 2"]


class RegionHead(CalibratedPresence):
    """The mask head's encoder and decoder with prompts in place of words.

    The `cameras` frames of a look lie side by side, always in the same order.
    """

    def __init__(
        self,
        *,
        cameras: int = 2,
        widths: Sequence[int] = (48, 96, 128),
        blocks: Sequence[int] = (1, 2, 1),
        dim: int = 96,
        heads: int = 4,
        depth: int = 2,
        pixel_dim: int = 8,
    ) -> None:
        super().__init__()
        check_head_sizes(widths=widths, blocks=blocks, dim=dim, heads=heads)
        self.cameras = cameras
        self.trained_cameras: tuple[Camera, ...] = ()  # of a checkpoint
        self.encoder = ImageEncoder(widths=widths, blocks=blocks, pooled_dim=1)
        self.decoder = MaskDecoder(
            cameras=cameras,
            widths=widths,
            dim=dim,
            heads=heads,
            depth=depth,
            masks=ROLES + 1,
            pixel_dim=pixel_dim,
        )
        fine, middle, _ = widths
        self.draw_prompts = nn.Conv2d(ROLES * (len(Prompt) - 1) * CELL * CELL, fine, 1)
        self.shrink_prompts = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.look_of = nn.Linear(sum(widths), dim)
        self.place_of = nn.Sequential(nn.Linear(PLACE, dim), nn.GELU(), nn.Linear(dim, dim))
        self.role = nn.Parameter(torch.randn(ROLES, dim) * 0.5)
        self.unseen = nn.Parameter(torch.randn(dim) * 0.5)  # of a region that a camera never saw
        self.presence = nn.Linear(dim, 1)
        self.iou = nn.Linear(dim, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, name: Path | str) -> Self:
        """Return the head of a checkpoint, its folder, or shipped weights by name, on the CPU and
        ready to use.
        """
        file = resolve_region_head(name)
        head = load(file, {KIND: cls})
        assert isinstance(head, cls)
        head.trained_cameras = cameras_of(file)
        return head.eval().requires_grad_(False)

    def encode(self, frames: UInt8[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return the feature pyramid of frames, whatever is asked about them."""
        weight = self.presence.weight
        nothing = torch.zeros(1, 1, dtype=weight.dtype, device=weight.device)
        films: list[list[Film]] = self.encoder.read(nothing)
        return self.encoder(frames, films)

    def identify(
        self, pyramid: list[Tensor], coverage: Float[Tensor, "b r h w"]
    ) -> Float[Tensor, "b r dim"]:
        """Return the identity of regions: what is under their coverage in each frame, averaged by
        area on every level, and where that is. However small, what is covered counts.
        """
        width = coverage.shape[-1]
        pooled = [
            mask_pool(features, coverage, stride=width // features.shape[-1])
            for features in pyramid
        ]
        tokens = self.look_of(torch.cat(pooled, dim=2).to(self.unseen.dtype))
        tokens = tokens + self.place_of(_place(coverage).to(self.unseen.dtype))
        tokens = torch.where(is_visible(coverage)[..., None], tokens, self.unseen)
        return tokens + self.role

    def look(
        self,
        pyramid: list[Tensor],
        prompts: Prompts,
        identity: Float[Tensor, "b r dim"],
    ) -> RegionOutput:
        """Return where the regions are in frames of this pyramid."""
        fine, middle, coarse = pyramid
        cells = _cells(prompts).to(fine.dtype)
        rows = fine.shape[2:]
        drawn = (
            pointwise(self.draw_prompts, to_tokens(cells)).unflatten(1, rows).permute(0, 3, 1, 2)
        )
        fine = fine + drawn
        middle = middle + self.shrink_prompts(F.relu(fine))
        valid = torch.ones(identity.shape[:2], dtype=torch.bool, device=identity.device)
        tokens, known = self.decoder.read(identity, valid)
        logits, coarse_logits, tokens = self.decoder([fine, middle, coarse], tokens, known)
        return RegionOutput(
            logits=logits.float(),
            coarse_logits=coarse_logits.float(),
            presence_logits=self.presence(tokens[:, :ROLES]).squeeze(-1).float(),
            predicted_iou=self.iou(tokens[:, :ROLES]).squeeze(-1).float().sigmoid(),
        )

    def forward(self, batch: RegionBatch) -> RegionOutput:
        """Return where the regions of a batch are in its frames."""
        pyramid = self.encode(batch.frames)
        pointed = len(batch.frames) - len(batch.then)
        if len(batch.then):
            earlier = self.encode(batch.then)
            shown = [
                torch.cat([now[:pointed], then]) for now, then in zip(pyramid, earlier, strict=True)
            ]
        else:
            shown = pyramid
        identity = self.identify(shown, batch.shown)
        return self.look(pyramid, Prompts(batch.planes, batch.kinds), identity)

    def loss(
        self, batch: RegionBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """Return the loss of every look: masks at both resolutions, presence and predicted IoU."""
        del generator
        output, truth = self(batch), batch.truth.float()
        presence = F.binary_cross_entropy_with_logits(
            output.presence_logits, batch.visible, reduction="none"
        ).mean(dim=1)
        iou = sum(
            iou_loss(output.predicted_iou[:, role], output.logits[:, role], truth[:, role])
            for role in range(ROLES)
        )
        total = (
            mask_loss(output.logits, truth)
            + COARSE_WEIGHT * coarse_loss(output.coarse_logits, truth)
            + PRESENCE_WEIGHT * presence
            + IOU_WEIGHT * iou
        )
        return total.unflatten(0, (-1, self.cameras)).mean(dim=1)


def resolve_region_head(name: Path | str) -> Path:
    """Return the file of a region head: a checkpoint, its folder, or the name of shipped
    weights.
    """
    for file in (Path(name), Path(name) / FILE_NAME, SHIPPED / str(name) / FILE_NAME):
        if file.is_file():
            return file
    raise InputError(
        f'got region head {str(name)!r}, expected a checkpoint, its folder or "tabletop"; '
        "tools/train_region_head.py makes one"
    )


def _place(coverage: Float[Tensor, "b r h w"]) -> Float[Tensor, "b r 5"]:
    """Return (x0, y0, x1, y1) around what is covered and the root of its area, in shares of the
    frame.
    """
    height, width = coverage.shape[-2:]
    shares = boxes_of(coverage) / torch.tensor(
        [width, height, width, height], device=coverage.device
    )
    return torch.cat([shares, coverage.mean(dim=(2, 3)).sqrt()[..., None]], dim=2)


def _cells(prompts: Prompts) -> Float[Tensor, "b c h4 w4"]:
    """Return the planes with a channel for each kind of prompt, 4x4 pixels to a cell, channels-last
    in memory.
    """
    batch, roles, height, width = prompts.planes.shape
    kinds = F.one_hot(prompts.kinds, len(Prompt))[..., 1:].to(prompts.planes.dtype)
    blocks = prompts.planes.view(batch, roles, height // CELL, CELL, width // CELL, CELL)
    cells = torch.einsum("brhpwq,brk->bhwrkpq", blocks, kinds).flatten(3)
    return cells.permute(0, 3, 1, 2)
