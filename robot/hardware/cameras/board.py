"""The ChArUco board that cameras are calibrated with: a chessboard with a marker in every white
square, so that a part of it is enough and no corner is taken for another.

The board's frame lies in its upper left corner: x right, y down, z into the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from robot.errors import InputError
from robot.system.parse import Count, Positive, options

LARGEST_SQUARE_M = 1.0
LEAST_CORNERS = 6  # of a view: a pose has six numbers, and a corner gives two


@options
class BoardOptions:
    """A board as it was printed; measure a square with a ruler."""

    squares_x: Count
    squares_y: Count
    square_m: Positive
    marker_m: Positive
    dictionary: str  # of OpenCV: DICT_4X4_50, DICT_5X5_100, ...

    def __post_init__(self) -> None:
        if min(self.squares_x, self.squares_y) < 3 or not self.marker_m < self.square_m:
            raise InputError(
                f"got a board of {self.squares_x} x {self.squares_y} squares of "
                f"{self.square_m:g} m with markers of {self.marker_m:g} m, expected at least 3 x 3 "
                "squares that are larger than the markers; correct board"
            )
        if self.square_m > LARGEST_SQUARE_M:
            raise InputError(
                f"got board.square_m={self.square_m:g}, squares of more than {LARGEST_SQUARE_M:g} "
                "m, expected metres; pass board.square_m=0.03 for 30 mm"
            )
        names = sorted(name for name in dir(cv2.aruco) if name.startswith("DICT_"))
        if self.dictionary not in names:
            raise InputError(
                f"got board.dictionary={self.dictionary}, expected one of {', '.join(names)}; "
                "choose one of these"
            )
        markers = self.squares_x * self.squares_y // 2
        if markers > (there := len(self.markers.bytesList)):
            raise InputError(
                f"got a board of {self.squares_x} x {self.squares_y} squares with {markers} "
                f"markers, more than the {there} of {self.dictionary}; choose another dictionary"
            )

    @cached_property
    def markers(self) -> cv2.aruco.Dictionary:
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))

    @cached_property
    def board(self) -> cv2.aruco.CharucoBoard:
        size = self.squares_x, self.squares_y
        return cv2.aruco.CharucoBoard(size, self.square_m, self.marker_m, self.markers)

    @cached_property
    def corners_m(self) -> Float32[np.ndarray, "c 3"]:
        """Return where the inner corners lie, by id."""
        return np.asarray(self.board.getChessboardCorners(), np.float32)


@dataclass(frozen=True)
class View:
    """The corners of the board that one picture shows."""

    name: str
    ids: Int32[np.ndarray, " c"]
    corners_px: Float32[np.ndarray, "c 2"]


def find_board(
    image: UInt8[np.ndarray, "h w 3"], board: BoardOptions, *, name: str = ""
) -> View | None:
    """Return the board's corners in an RGB picture, None where too few are seen."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners, ids, _, _ = cv2.aruco.CharucoDetector(board.board).detectBoard(grey)
    if ids is None or len(ids) < LEAST_CORNERS:
        return None
    flat = ids.ravel().astype(np.int32)
    columns = board.squares_x - 1
    if len(set(flat % columns)) < 2 or len(set(flat // columns)) < 2:
        return None  # all in a line: no pose follows
    return View(name, flat, refined(grey, corners.reshape(-1, 2), board=board))


def refined(
    grey: UInt8[np.ndarray, "h w"], corners_px: Float32[np.ndarray, "c 2"], *, board: BoardOptions
) -> Float32[np.ndarray, "c 2"]:
    """Return where the corners are to a fraction of a pixel, looking no further than half of the
    way to a marker.

    OpenCV's own result lies half a pixel off in x and y before 4.14 (opencv/opencv#25539).
    """
    apart = np.linalg.norm(corners_px[:, None] - corners_px, axis=-1)
    square_px = float(np.median(np.sort(apart, axis=1)[:, 1]))
    margin = (1 - board.marker_m / board.square_m) / 2
    reach = int(np.clip(0.7 * margin * square_px, 2, 7))
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 50, 1e-3)
    start = np.ascontiguousarray(corners_px, np.float32).reshape(-1, 1, 2)
    return cv2.cornerSubPix(grey, start, (reach, reach), (-1, -1), until).reshape(-1, 2)


def board_picture(board: BoardOptions, *, px_per_m: float) -> UInt8[np.ndarray, "h w"]:
    """Return the board to print, without a margin."""
    size = (
        round(board.squares_x * board.square_m * px_per_m),
        round(board.squares_y * board.square_m * px_per_m),
    )
    return np.asarray(board.board.generateImage(size))


def object_points(board: BoardOptions, views: Sequence[View]) -> list[np.ndarray]:
    """Return where the seen corners lie on the board, per view."""
    return [board.corners_m[view.ids] for view in views]
