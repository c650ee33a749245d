"""Drawn scenes with a sentence each: coloured shapes of 8-15 pixels, a gripper, and distractors of
colours never named.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robot.batch import MaskBatch
from robot.language import LanguageEncoder
from robot.types import Label

COLOURS = {
    "red": (0.8, 0.1, 0.1),
    "green": (0.1, 0.7, 0.15),
    "blue": (0.1, 0.2, 0.85),
    "yellow": (0.85, 0.8, 0.1),
}
NEVER_NAMED = ((0.7, 0.1, 0.7), (0.1, 0.7, 0.7), (0.9, 0.9, 0.9))
SHAPES = ("circle", "square", "triangle")
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
# objects: the target, the destination or a decoy, a decoy, a decoy of a colour that is never named
SLOTS = 4


@dataclass(frozen=True)
class Shapes:
    """Draws batches. Object 0 is what the sentence asks for, or a decoy (`absent`); object 1 where
    it goes (`placed`).
    """

    encoder: LanguageEncoder
    side: int = 128
    absent: float = 0.2
    placed: float = 0.5  # share of sentences that name a destination

    def draw(self, count: int, generator: torch.Generator) -> MaskBatch:
        def uniform(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=generator)

        names = uniform(count, len(NAMES)).argsort(dim=1)[
            :, : SLOTS + 1
        ]  # different within a scene
        names[:, 2] = self._look_alike(names, uniform)
        placed, absent = uniform(count) < self.placed, uniform(count) < self.absent
        texts = [
            f"put the {NAMES[pair[0]]} on the {NAMES[pair[1]]}"
            if put
            else f"pick up the {NAMES[pair[0]]}"
            for pair, put in zip(names.tolist(), placed.tolist(), strict=True)
        ]
        drawn = torch.cat(
            [torch.where(absent, names[:, SLOTS], names[:, 0])[:, None], names[:, 1:SLOTS]], dim=1
        )
        kinds, colours = (
            drawn % len(SHAPES),
            torch.tensor(list(COLOURS.values()))[drawn // len(SHAPES)],
        )
        colours[:, -1] = torch.tensor(NEVER_NAMED)[(uniform(count) * len(NEVER_NAMED)).long()]
        centres, radii = self._places(count, uniform), 4 + 3.5 * uniform(count, SLOTS)
        ys, xs = torch.meshgrid(
            torch.arange(self.side) + 0.5, torch.arange(self.side) + 0.5, indexing="ij"
        )
        frames = uniform(count, 3, 4, 4) * 0.4 + 0.3
        frames = torch.nn.functional.interpolate(frames, (self.side, self.side), mode="bilinear")
        frames = frames + 0.1 * uniform(count, 1, self.side, self.side)
        labels = torch.zeros(count, self.side, self.side, dtype=torch.uint8)
        for slot in range(SLOTS):
            inside = _shape(
                kinds[:, slot, None, None],
                xs - centres[:, slot, 0, None, None],
                ys - centres[:, slot, 1, None, None],
                radii[:, slot, None, None],
            )  # fmt: skip
            light = 0.8 + 0.4 * uniform(count, 1, 1, 1)
            frames = torch.where(inside[:, None], colours[:, slot, :, None, None] * light, frames)
            named = ~absent if slot == 0 else placed if slot == 1 else torch.zeros_like(placed)
            role = (Label.TARGET, Label.DESTINATION, 0, 0)[slot]
            labels[inside & named[:, None, None]] = role
        fingers = ((xs - self.side * uniform(count, 1, 1)).abs() < 3) & (
            ys < self.side * 0.3 * uniform(count, 1, 1) + 4
        )
        frames, labels = (
            torch.where(fingers[:, None], 0.15, frames),
            labels.masked_fill(fingers, Label.GRIPPER),
        )
        frames = frames + 0.03 * torch.randn(frames.shape, generator=generator)
        presence = torch.stack(
            [(labels == role).flatten(1).any(1) for role in (Label.TARGET, Label.DESTINATION)], 1
        )
        return MaskBatch(
            frames=frames.mul(255).clamp(0, 255).to(torch.uint8),
            language=self.encoder.encode(texts),
            labels=labels,
            presence=presence.float(),
        )

    def _look_alike(self, names: torch.Tensor, uniform) -> torch.Tensor:
        """Half of the decoys share the target's colour: without them colour alone would
        nearly do.
        """
        colour, shape = names[:, 0] // len(SHAPES), names[:, 0] % len(SHAPES)
        other = colour * len(SHAPES) + (shape + 1 + (uniform(len(names)) * 2).long()) % len(SHAPES)
        usable = (uniform(len(names)) < 0.5) & (other[:, None] != names).all(dim=1)
        return torch.where(usable, other, names[:, 2])

    def _places(self, count: int, uniform) -> torch.Tensor:
        """Put each object into its own cell of a 3 x 3 grid: they never overlap."""
        cells = uniform(count, 9).argsort(dim=1)[:, :SLOTS]
        corner = torch.stack([cells % 3, cells // 3], dim=2).float()
        return (corner + 0.2 + 0.6 * uniform(count, SLOTS, 2)) * self.side / 3


def _shape(
    kind: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor, radius: torch.Tensor
) -> torch.Tensor:
    circle = dx**2 + dy**2 <= radius**2
    square = torch.maximum(dx.abs(), dy.abs()) <= radius * 0.88
    triangle = (dy <= radius * 0.8) & (dy >= 2 * dx.abs() - radius * 1.2)
    return torch.where(kind == 0, circle, torch.where(kind == 1, square, triangle))
