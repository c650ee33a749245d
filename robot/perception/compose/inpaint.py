"""Deployment `inpaint`: what the goal does not need is painted over with what could be behind it.

With a background plate (a picture of the empty scene from the same camera) the plate is shown
there: clutter is gone, the table is not. Without one, OpenCV continues the kept pixels outwards
(Telea 2004): no colour is made up, but far from the mask the picture is a smear. A camera that
moves (the wrist's) has no plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from robot.perception.compose.masking import Deployment
from robot.perception.names import check_plates, no_plate
from robot.types import InputError


@dataclass(frozen=True, kw_only=True)
class Inpaint(Deployment):
    """`plates`: picture files of the empty scene, one per camera in the order of the cameras, ""
    for a camera without one.

    No plates at all means that no camera has one. `radius`: pixels around each hole that Telea's
    method looks at.
    """

    plates: Sequence[str] = ()
    radius: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(
            self, "plates", tuple(self.plates)
        )  # a list in YAML and JSON, which has no hash
        check_plates(plates=self.plates, radius=self.radius)
        for plate in filter(None, self.plates):
            read_plate(plate)

    def for_camera(self, index: int) -> Inpaint:
        if not self.plates:
            return self
        if index >= len(self.plates):
            raise InputError(
                f'got {len(self.plates)} plates for more cameras, expected one per camera, "" '
                "for a camera without one"
            )
        return replace(self, plates=(self.plates[index],))

    def show(self, rgb: Tensor, kept: Tensor) -> Tensor:
        plates = [read_plate(plate) if plate else None for plate in self.plates] or [None]
        return inpaint(rgb, kept, plates=plates, radius=self.radius)


def inpaint(
    rgb: Float[Tensor, "b 3 h w"],
    kept: Float[Tensor, "b 1 h w"],
    *,
    plates: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
    radius: float,
) -> Float[Tensor, "b 3 h w"]:
    """Replace what is not kept. Frames are in camera order, camera fastest: frame i belongs to
    `plates[i % len(plates)]`.
    """
    painted = rgb.clone()
    for i in range(len(rgb)):
        plate = plates[i % len(plates)]
        behind = (
            _continued(rgb[i], kept[i, 0], radius=radius)
            if plate is None
            else _fitting(plate, rgb[i])
        )
        painted[i] = torch.lerp(behind.to(rgb), rgb[i], kept[i])
    return painted


@cache
def read_plate(path: str) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture file as RGB."""
    picture = cv2.imread(path, cv2.IMREAD_COLOR) if Path(path).is_file() else None
    if picture is None:
        raise no_plate(path)
    return np.ascontiguousarray(picture[..., ::-1])


def _fitting(
    plate: UInt8[np.ndarray, "y x 3"], frame: Float[Tensor, "3 h w"]
) -> Float[Tensor, "3 h w"]:
    if plate.shape[:2] != tuple(frame.shape[-2:]):
        raise InputError(
            f"got a background plate of {plate.shape[:2]} for frames of {tuple(frame.shape[-2:])}, "
            "expected the same size; "
            "take the plate with the same camera"
        )
    return torch.from_numpy(plate).permute(2, 0, 1) / 255


def _continued(
    frame: Float[Tensor, "3 h w"], kept: Float[Tensor, "h w"], *, radius: float
) -> Float[Tensor, "3 h w"]:
    """Continue the kept pixels into the rest; mid-grey where nothing is kept."""
    hole = (kept <= 0).to(torch.uint8).numpy()
    if hole.all():
        return torch.full_like(frame, 0.5)
    picture = np.ascontiguousarray((frame * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    picture[hole > 0] = 0  # what is hidden must not leak
    filled = cv2.inpaint(picture, hole, radius, cv2.INPAINT_TELEA)
    return torch.from_numpy(filled).permute(2, 0, 1) / 255
