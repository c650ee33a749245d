"""Random backgrounds, the strongest image augmentation for a policy without masks (in the spirit of
GreenAug, 2024).

It needs to know what is robot and object, which a policy without masks does not. Only training
does; the policy that comes out acts on bare frames.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from robot.perception.compose.augment import CompositeAugment
from robot.types import InputError


class PasteBackgrounds:
    """Show another picture where no role covers the frame, in a `share` of the images; then claim
    that all is covered.

    Takes composites of the Channel deployment whose coverage is of all that is no room, and returns
    what Unmasked would have given of such a frame, as the policy meets it when it acts.
    """

    def __init__(self, pictures: UInt8[Tensor, "p 3 h w"], *, share: float) -> None:
        if not 0 <= share <= 1 or not len(pictures):
            raise InputError(
                f"got share {share} and {len(pictures)} pictures for backgrounds, expected a share "
                "in [0, 1] and at least one "
                "picture; set augment.backgrounds=0.5"
            )
        self.pictures, self.share = pictures, share

    @torch.no_grad()
    def __call__(
        self, images: Float[Tensor, "b n 6 h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b n 6 h w"]:
        """Return changed copies of the composites; every camera of every sample gets a picture of
        its own.
        """
        flat = images.reshape(-1, *images.shape[-3:])
        behind = torch.randint(len(self.pictures), (len(flat),), generator=generator)
        pasted = (torch.rand(len(flat), 1, 1, 1, generator=generator) < self.share).float()
        covered = flat[:, 3:].sum(dim=1, keepdim=True).clamp_(max=1)
        rgb = torch.lerp(flat[:, :3], self.pictures[behind].float() / 255, (1 - covered) * pasted)
        return torch.cat([rgb, torch.ones_like(flat[:, 3:])], dim=1).view(images.shape)


class OnBackgrounds:
    """Paste backgrounds, then change light and view of the whole."""

    def __init__(self, paste: PasteBackgrounds, change: CompositeAugment) -> None:
        self.paste, self.change = paste, change

    def __call__(
        self, images: Float[Tensor, "b n 6 h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b n 6 h w"]:
        return self.change(self.paste(images, generator), generator)
