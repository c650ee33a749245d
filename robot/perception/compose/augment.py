"""Random changes of what the mask head and the policy train on. Randomness comes from the generator
that is passed in.

Colours carry meaning ("the red cup"), so hue is never rotated: light changes in brightness,
contrast and saturation, with a mild tint.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from robot.batch import COMPOSITE_CHANNELS, MaskBatch
from robot.perception.compose.light import DEFAULT, Photometric
from robot.perception.compose.masking import gaussian_blur
from robot.types import InputError, Label

_LUMINANCE = (0.299, 0.587, 0.114)


def colour_maps(
    light: Photometric, count: int, generator: torch.Generator | None
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, "n 3 1"]]:
    """Draw matrices A and vectors b: a pixel's colour c becomes A c + b."""
    draw = _draw(count, 7, generator)  # in [-1, 1)
    brightness, contrast, saturation = (
        1 + draw[:, i, None, None] * scale
        for i, scale in enumerate((light.brightness, light.contrast, light.saturation))
    )
    tint = 1 + light.tint * draw[:, 3:6, None]
    grey = torch.tensor(_LUMINANCE).expand(3, 3)
    saturate = grey + saturation * (torch.eye(3) - grey)
    matrix = (
        contrast * brightness * tint * saturate
    )  # rows are output channels, so the tint scales rows
    shift = 0.5 * (1 - contrast) * brightness + light.offset * draw[:, 6, None, None]
    return matrix, shift.expand(-1, 3, 1)


def _draw(
    count: int, numbers: int, generator: torch.Generator | None
) -> Float[Tensor, "count numbers"]:
    return 2 * torch.rand(count, numbers, generator=generator) - 1


def _noise(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Draw noise of mean 0 and deviation 1: uniform, because Gaussian numbers take three times as
    long.
    """
    return torch.rand(shape, generator=generator).sub_(0.5).mul_(math.sqrt(12.0))


def _chance(
    count: int, probability: float, generator: torch.Generator | None
) -> Float[Tensor, "count 1 1 1"]:
    return (torch.rand(count, 1, 1, 1, generator=generator) < probability).float()


class CompositeAugment:
    """Change composites (B, N, 6, h, w) as new light, imperfect masks and imperfect cameras would.

    1. `jitter` the light inside the mask only, then restore the grey `fill`: composites from the
      Overlay deployment with that
       fill. `fill=None` says that nothing was painted over (Channel, Blur, Greyscale) and changes
       the light of the whole frame; Unmasked composites, whose coverage is one, give the same
       result either way.
    2. `ring`: the chance that a 1-px ring of one random colour surrounds the mask, as when a mask
      is a little too wide: the
       policy must not trust what a boundary shows.
    3. `drop`: the chance per camera that the target is missing from picture and coverage, as when
      the mask head misses it.
    4. `shift`: move picture and coverage together by up to this many pixels, borders repeated.
    `noise` is the standard deviation per pixel inside the mask.
    """

    def __init__(
        self,
        *,
        jitter: Photometric | None = DEFAULT,
        ring: float = 1.0,
        shift: int = 0,
        drop: float = 0.0,
        noise: float = 0.0,
        fill: float | None = 0.5,
    ) -> None:
        if not (0 <= ring <= 1 and 0 <= drop <= 1 and shift >= 0 and noise >= 0):
            raise InputError(
                f"got ring {ring}, drop {drop}, shift {shift}, noise {noise}, expected "
                "probabilities ring and drop in [0, 1], "
                "shift >= 0 pixels and noise >= 0"
            )
        self.jitter, self.ring, self.shift, self.drop, self.noise, self.fill = (
            jitter,
            ring,
            shift,
            drop,
            noise,
            fill,
        )

    @torch.no_grad()
    def __call__(
        self, images: Float[Tensor, "b n 6 h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b n 6 h w"]:
        """Return changed copies of the composites; every camera of every sample is changed on its
        own.
        """
        flat = images.reshape(-1, *images.shape[-3:])
        if flat.shape[1] != COMPOSITE_CHANNELS:
            raise InputError(
                f"got {flat.shape[1]} channels, expected {COMPOSITE_CHANNELS}: RGB and three "
                "coverages"
            )
        rgb, coverage = flat[:, :3], flat[:, 3:]
        cover = (
            coverage.sum(dim=1, keepdim=True)
            if self.fill is not None
            else torch.ones_like(flat[:, :1])
        )
        cover = cover.clamp_(max=1)
        fill = self.fill or 0.0
        seen = rgb - fill * (1 - cover)  # premultiplied: colour * cover
        if self.jitter is not None:
            seen = _relight(seen, cover, self.jitter, generator)
        if self.noise:
            seen.addcmul_(_noise(seen.shape, generator), cover, value=self.noise)
        if self.jitter is not None or self.noise:
            seen = torch.minimum(seen.clamp_(min=0), cover)
        if self.drop:
            seen, cover, coverage = _drop_target(seen, cover, coverage, self.drop, generator)
        if self.ring:
            seen, cover = _paint_ring(seen, cover, self.ring, generator)
        changed = torch.cat([seen.add_(fill * (1 - cover)), coverage], dim=1)
        return _shift(changed, self.shift, generator).view(images.shape)


def _relight(
    seen: Tensor, cover: Tensor, jitter: Photometric, generator: torch.Generator | None
) -> Tensor:
    """Apply one colour map per image to premultiplied colours; they may leave [0, cover]."""
    matrix, shift = colour_maps(jitter, len(seen), generator)
    return torch.baddbmm(shift * cover.flatten(2), matrix, seen.flatten(2)).view_as(seen)


def _drop_target(
    seen: Tensor, cover: Tensor, coverage: Tensor, drop: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the target's share of each pixel out of the picture."""
    lost = coverage[:, :1] * _chance(len(seen), drop, generator)
    left = 1 - lost / cover.clamp(min=1e-6)
    return seen * left, cover - lost, torch.cat([coverage[:, :1] - lost, coverage[:, 1:]], dim=1)


def _paint_ring(
    seen: Tensor, cover: Tensor, ring: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Cover the pixels around the mask, as far as they are free, with one colour per image."""
    around = (F.max_pool2d(cover, 3, stride=1, padding=1) - cover) * _chance(
        len(seen), ring, generator
    )
    colour = torch.rand(len(seen), 3, 1, 1, generator=generator)
    return torch.addcmul(seen, around, colour), cover + around


def _shift(images: Tensor, shift: int, generator: torch.Generator | None) -> Tensor:
    if not shift:
        return images
    height, width = images.shape[-2:]
    padded = F.pad(images, (shift, shift, shift, shift), mode="replicate")
    moved = torch.empty_like(images)
    offsets = torch.randint(0, 2 * shift + 1, (len(images), 2), generator=generator).tolist()
    for row, (top, left) in enumerate(offsets):
        moved[row] = padded[row, :, top : top + height, left : left + width]
    return moved


class MaskAugment:
    """Change the frames of a MaskBatch as other light and another camera would; labels and presence
    follow.

    `light` as above; `shade` is the depth of smooth light and shadow across the frame; `blur` the
    largest Gaussian sigma in pixels; `noise` the largest standard deviation in [0, 1]; `zoom` (0.2:
    0.8 .. 1.2 times) and `move` (share of the frame) change the view. What leaves the view is
    absent.
    """

    def __init__(
        self,
        *,
        light: Photometric = DEFAULT,
        shade: float = 0.25,
        blur: float = 0.8,
        noise: float = 0.03,
        zoom: float = 0.1,
        move: float = 0.05,
    ) -> None:
        if min(shade, blur, noise, move) < 0 or not 0 <= zoom < 1:
            raise InputError(
                f"got shade {shade}, blur {blur}, noise {noise}, zoom {zoom}, move {move}, "
                "expected none below 0 and zoom < 1"
            )
        self.light, self.shade, self.blur, self.noise, self.zoom, self.move = (
            light,
            shade,
            blur,
            noise,
            zoom,
            move,
        )

    @torch.no_grad()
    def __call__(self, batch: MaskBatch, generator: torch.Generator | None = None) -> MaskBatch:
        frames, labels = _new_view(
            batch.frames.float() / 255, batch.labels, self.zoom, self.move, generator
        )
        visible = torch.stack(
            [(labels == role).flatten(1).any(dim=1) for role in (Label.TARGET, Label.DESTINATION)],
            dim=1,
        )
        frames = self._new_light(frames, generator)
        frames = frames.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
        return replace(batch, frames=frames, labels=labels, presence=batch.presence * visible)

    def _new_light(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        count = len(frames)
        matrix, shift = colour_maps(self.light, count, generator)
        frames = torch.baddbmm(shift, matrix, frames.flatten(2)).view_as(frames)
        shade = 1 + self.shade * (2 * torch.rand(count, 1, 4, 4, generator=generator) - 1)
        frames = frames * F.interpolate(
            shade, frames.shape[-2:], mode="bilinear", align_corners=True
        )
        if self.blur:
            soft = torch.rand(count, generator=generator) < 0.5
            softness = torch.rand(int(soft.sum()), 1, 1, 1, generator=generator)
            frames[soft] = torch.lerp(
                frames[soft], gaussian_blur(frames[soft], sigma=self.blur), softness
            )
        deviation = self.noise * torch.rand(count, 1, 1, 1, generator=generator)
        return frames.addcmul_(deviation, _noise(frames.shape, generator))


def _new_view(
    frames: Float[Tensor, "b 3 h w"],
    labels: UInt8[Tensor, "b h w"],
    zoom: float,
    move: float,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Zoom and move about the centre, borders repeated in frames, background beyond them
    in labels.
    """
    if not zoom and not move:
        return frames, labels
    draw = _draw(len(frames), 3, generator)
    affine = torch.zeros(len(frames), 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = 1 + zoom * draw[:, 0]
    affine[:, :, 2] = 2 * move * draw[:, 1:]
    grid = F.affine_grid(affine, list(frames.shape), align_corners=False)
    seen = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    roles = F.grid_sample(
        labels[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return seen, roles[:, 0].to(torch.uint8)
