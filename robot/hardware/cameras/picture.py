"""What is done to every captured picture: rotate, flip, crop, resize, and where its pixels go."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from robot.hardware.camera import CameraError
from robot.hardware.cameras.options import CameraOptions, Crop

ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
FLIPS = {"horizontal": 1, "vertical": 0}


@dataclass(frozen=True)
class Edit:
    """How a captured picture becomes the one that is returned, in this order."""

    rotate: int = 0  # degrees clockwise
    flip: str = "none"
    crop: Crop | None = None
    size: tuple[int, int] | None = None  # height, width

    @staticmethod
    def of(options: CameraOptions) -> Edit:
        size = None
        if options.height is not None and options.width is not None:
            size = (options.height, options.width)
        return Edit(rotate=options.rotate, flip=options.flip, crop=options.crop, size=size)

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Return the edited picture. Raises CameraError where the crop lies outside of it."""
        if self.rotate:
            image = cv2.rotate(image, ROTATIONS[self.rotate])
        if self.flip != "none":
            image = cv2.flip(image, FLIPS[self.flip])
        if self.crop is not None:
            image = self._cropped(image, self.crop)
        if self.size is not None and image.shape[:2] != self.size:
            shrinks = self.size[0] < image.shape[0]
            kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = cv2.resize(image, self.size[::-1], interpolation=kernel)
        return image

    def pixel_matrix(self, height: int, width: int) -> Float64[np.ndarray, "3 3"]:
        """Return the matrix that maps a pixel (x, y, 1) of a captured picture of this size to where
        `apply` puts it. Pixel centres are whole numbers.
        """
        matrix = np.eye(3)
        for _ in range(self.rotate // 90):  # clockwise: x' = height - 1 - y, y' = x
            matrix = np.array([[0.0, -1, height - 1], [1, 0, 0], [0, 0, 1]]) @ matrix
            height, width = width, height
        if self.flip == "horizontal":
            matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        if self.flip == "vertical":
            matrix = np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]]) @ matrix
        if self.crop is not None:
            shift = np.array([[1.0, 0, -self.crop.left], [0, 1, -self.crop.top], [0, 0, 1]])
            matrix = shift @ matrix
            height, width = self.crop.height, self.crop.width
        if self.size is not None:
            y, x = self.size[0] / height, self.size[1] / width
            matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]]) @ matrix
        return matrix

    @staticmethod
    def _cropped(image: UInt8[np.ndarray, "h w 3"], crop: Crop) -> UInt8[np.ndarray, "h2 w2 3"]:
        height, width = image.shape[:2]
        bottom, right = crop.top + crop.height, crop.left + crop.width
        if bottom > height or right > width:
            raise CameraError(
                f"got a crop down to row {bottom} and column {right} of a picture of {height} rows "
                f"and {width} columns; make the crop smaller"
            )
        return np.ascontiguousarray(image[crop.top : bottom, crop.left : right])


def is_black(image: UInt8[np.ndarray, "h w 3"], *, level: int) -> bool:
    """Return whether 99 % of a picture are not brighter than `level`; looks at every 8th pixel."""
    brightness = image[::8, ::8].max(axis=-1)
    return bool(np.count_nonzero(brightness > level) <= 0.01 * brightness.size)


def is_repeat(
    image: UInt8[np.ndarray, "h w 3"], previous: UInt8[np.ndarray, "h2 w2 3"] | None
) -> bool:
    """Return whether two pictures are the same to the byte."""
    if previous is None or image.shape != previous.shape:
        return False
    # most pictures differ somewhere in a few rows, which is quicker to see
    return np.array_equal(image[::16], previous[::16]) and np.array_equal(image, previous)
