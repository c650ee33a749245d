"""What a policy without masks is shown instead of the room, and what of a demonstration is not
room.

Pictures are crops of the textures that randomised scenes are made of: scenes with objects and hands
in them would show it second targets and second hands that the demonstrated actions ignore.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from robot.data.store import EpisodeStore
from robot.perception.compose.masking import mask_from_labels
from robot.report.pictures import spread
from robot.types import MASK_CHANNELS, Goal, InputError, Label

PICTURES, PICTURES_SEED = 1024, 0
SMALLEST_CROP = 0.15  # share of a texture's side
EPISODES, MOMENTS = 60, 5  # to see the room by: of every store, of every episode
STRANGE = 12  # grey levels away from the empty room: nothing here has noise or moving shadows


def texture_pictures(
    files: Sequence[Path], *, size: int, count: int = PICTURES, seed: int = PICTURES_SEED
) -> UInt8[Tensor, "p 3 s s"]:
    """Return random crops of the textures in `files`, flipped at random."""
    if not files:
        raise ValueError("got no texture files, expected some to paste behind the objects")
    rng = np.random.default_rng(seed)
    textures = [Image.open(file).convert("RGB") for file in files]
    pictures = [
        _crop(textures[k], size=size, rng=rng) for k in rng.integers(len(textures), size=count)
    ]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def _crop(
    texture: Image.Image, *, size: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "s s 3"]:
    side = int(min(texture.size) * rng.uniform(SMALLEST_CROP, 1.0))
    left, top = (int(rng.integers(length - side + 1)) for length in texture.size)
    picture = np.asarray(
        texture.resize((size, size), Image.Resampling.BOX, box=(left, top, left + side, top + side))
    )
    return picture[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


class ForegroundLook:
    """Return what of recorded frames is not room: the roles that the labels know, and what differs
    from the empty room.

    Labels know neither the arm nor what the goal does not name; what they do not know goes to the
    gripper's channel. `rooms` is the empty room as every camera sees it (`empty_rooms`).
    """

    def __init__(self, rooms: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> None:
        self.rooms = [room.astype(np.int16) for room in rooms]

    def __call__(
        self,
        frames: Sequence[UInt8[np.ndarray, "t _ _ 3"]],
        labels: Sequence[UInt8[np.ndarray, "t _ _"]] | None,
        goal: Goal,
    ) -> list[Float[Tensor, "t 3 _ _"]]:
        del goal
        if labels is None:
            raise InputError(
                "got demonstrations without masks, expected labels beside the frames to paste "
                "behind; set augment.backgrounds=0"
            )
        return [
            _foreground(images, roles, room=room)
            for images, roles, room in zip(frames, labels, self.rooms, strict=True)
        ]


def _foreground(
    frames: UInt8[np.ndarray, "t h w 3"],
    labels: UInt8[np.ndarray, "t h w"],
    *,
    room: np.ndarray,
) -> Float[Tensor, "t 3 h w"]:
    strange = torch.from_numpy(np.abs(frames - room).max(axis=-1) > STRANGE)
    coverage = mask_from_labels(torch.from_numpy(labels))
    coverage[:, MASK_CHANNELS.index(Label.GRIPPER)] += (
        strange & (coverage.sum(dim=1) == 0)
    ).float()
    return coverage


def empty_rooms(roots: Sequence[Path]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return what every camera mostly shows in demonstrations of one look, where their labels name
    nothing.
    """
    shown: dict[str, list[np.ndarray]] = {}
    for store in map(EpisodeStore, roots):
        for index in sorted(store.indices())[:EPISODES]:
            episode = store.read(index)
            moments = list(spread(len(episode), count=MOMENTS))
            for camera, images in episode.images.items():
                named = episode.labels[camera][moments] > 0
                seen = np.where(named[..., None], np.nan, images[moments].astype(np.float32))
                shown.setdefault(camera, []).extend(seen)
    return [middle_of(np.stack(seen)).astype(np.uint8) for seen in shown.values()]


def middle_of(values: Float[np.ndarray, "t *s"]) -> Float[np.ndarray, "*s"]:
    """Return the median over the first axis without what is NaN (the lower of two), 0 where
    everything is.
    """
    count = (~np.isnan(values)).sum(axis=0)
    ordered = np.sort(values, axis=0)  # NaN last
    return np.nan_to_num(
        np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    )
