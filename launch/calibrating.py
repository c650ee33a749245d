"""What launch/calibrate.py does: pictures of a board -> the file that a camera stream reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import UInt8
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from robot.data import png
from robot.errors import InputError
from robot.hardware.cameras.board import BoardOptions, View, board_picture
from robot.hardware.cameras.calibration import Calibration, read_calibration, write_calibration
from robot.hardware.cameras.hand_eye import HandEye, calibrate_hand_eye, check_motion
from robot.hardware.cameras.intrinsics import Intrinsics, board_pose, calibrate_intrinsics
from robot.hardware.cameras.views import Photo, find_views, read_photos
from robot.report.pictures import fit, grid, write_on
from robot.system.command import require_writable, run_folder, write_results
from robot.system.parse import Count, Positive, options, parse

METRES_PER_INCH = 0.0254
COLUMNS = 4  # of the sheet of all pictures
AXES_SQUARES = 2  # length of the drawn axes


@options
class Accepted:
    """Section `limits`: what a good calibration stays below."""

    reprojection_px: Positive
    view_mm: Positive
    view_deg: Positive


@options
class Calibrating:
    """configs/calibrate.yaml."""

    pictures: Path | None
    mount: Literal["none", "eye_in_hand", "eye_to_hand"]
    calibration: Path | None
    output: Path | None
    board: BoardOptions
    limits: Accepted
    dpi: Count


@dataclass(frozen=True)
class Result:
    """All that was found."""

    calibration: Calibration
    photos: list[Photo]  # that show the board
    views: list[View]
    unused: list[str]  # pictures that do not
    lens: Intrinsics | None
    hand_eye: HandEye | None


def calibrating(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Calibrating, values)
    yaml = OmegaConf.to_yaml(config, resolve=True)
    if asked.output is not None:
        require_writable(asked.output.parent)
    if asked.pictures is None:
        return partial(write_board, asked, config_yaml=yaml)
    if asked.mount == "none" and asked.calibration is not None:
        raise InputError(
            f"got calibration={asked.calibration} and mount=none, which leaves nothing to find; "
            "pass mount=eye_in_hand or mount=eye_to_hand, or leave calibration out"
        )
    known = None if asked.calibration is None else read_calibration(asked.calibration)
    photos = read_photos(asked.pictures, with_poses=asked.mount != "none")
    return partial(calibrate, asked, photos=photos, known=known, config_yaml=yaml)


def write_board(asked: Calibrating, *, config_yaml: str) -> None:
    """Write the board to print."""
    board = asked.board
    picture = board_picture(board, px_per_m=asked.dpi / METRES_PER_INCH)
    with run_folder("calibrate", config_yaml=config_yaml) as run:
        file = run / "board.png"
        Image.fromarray(picture).save(file, dpi=(asked.dpi, asked.dpi))
        size_m = [board.squares_x * board.square_m, board.squares_y * board.square_m]
        print(
            f"print {file} at 100 % ({1000 * size_m[0]:g} x {1000 * size_m[1]:g} mm), glue it to "
            "something flat, measure a square and pass board.square_m and board.marker_m",
            file=sys.stderr,
        )
        write_results(run, {"board": file.name, "size_m": size_m})


def calibrate(
    asked: Calibrating, *, photos: list[Photo], known: Calibration | None, config_yaml: str
) -> None:
    """Calibrate and write; results.json is the last line on stdout."""
    result = find(asked, photos=photos, known=known)
    check(result, asked.limits)
    with run_folder("calibrate", config_yaml=config_yaml) as run:
        for path in [run / "calibration.json", *([asked.output] if asked.output else [])]:
            write_calibration(path, result.calibration, notes={"mount": asked.mount})
        (run / "views.png").write_bytes(png.encode(sheet_of(result, asked.board)))
        Console(file=sys.stderr).print(table_of(result))
        write_results(run, results_of(result))


def find(asked: Calibrating, *, photos: list[Photo], known: Calibration | None) -> Result:
    """Return lens and place. Raises InputError where the pictures do not determine them."""
    shown, views = find_views(photos, asked.board)
    unused = sorted({photo.name for photo in photos} - {photo.name for photo in shown})
    height, width = photos[0].image.shape[:2]
    poses = [photo.T_base_ee for photo in shown if photo.T_base_ee is not None]
    if asked.mount != "none":
        check_motion(poses)
    lens = None
    if known is None:
        lens = calibrate_intrinsics(views, asked.board, height=height, width=width)
        calibration = Calibration(height, width, lens.K, lens.distortion)
    else:
        calibration = known.scaled_to(height=height, width=width)
    hand_eye = None
    if asked.mount != "none":
        hand_eye = calibrate_hand_eye(
            poses,
            views,
            asked.board,
            K=calibration.K,
            distortion=calibration.distortion,
            mount=asked.mount,
        )
        name = "T_ee_camera" if asked.mount == "eye_in_hand" else "T_base_camera"
        calibration = replace(calibration, **{name: hand_eye.T_hand_camera})
    return Result(calibration, shown, views, unused, lens, hand_eye)


def check(result: Result, limits: Accepted) -> None:
    """Raise InputError where a calibration is worse than its limits, naming the worst picture."""
    lens, place = result.lens, result.hand_eye
    if lens is not None and lens.reprojection_px > limits.reprojection_px:
        worst = int(np.argmax(lens.view_px))
        raise InputError(
            f"got a lens that misses the corners by {lens.reprojection_px:.2f} px, "
            f"{result.views[worst].name} most ({lens.view_px[worst]:.2f} px), expected at most "
            f"limits.reprojection_px={limits.reprojection_px:g}; remove blurred pictures, and "
            "check that board says what was printed and that the board is flat"
        )
    if place is not None and (
        max(place.view_mm) > limits.view_mm or max(place.view_deg) > limits.view_deg
    ):
        worst = int(
            np.argmax(
                np.maximum(
                    np.array(place.view_mm) / limits.view_mm,
                    np.array(place.view_deg) / limits.view_deg,
                )
            )
        )
        raise InputError(
            f"got {result.views[worst].name} at a pose of the arm that does not fit the others "
            f"({place.view_mm[worst]:.1f} mm, {place.view_deg[worst]:.2f} degrees off), expected "
            f"at most limits.view_mm={limits.view_mm:g} and limits.view_deg={limits.view_deg:g}; "
            "remove it, or check that mount is right, that poses are T_base_ee in metres, and that "
            "board or camera did not slip"
        )


def results_of(result: Result) -> dict[str, Any]:
    """Return the content of results.json."""
    return {
        "calibration": "calibration.json",
        "K": result.calibration.K,
        "distortion": result.calibration.distortion,
        "T_base_camera": result.calibration.T_base_camera,
        "T_ee_camera": result.calibration.T_ee_camera,
        "lens": result.lens,
        "hand_eye": result.hand_eye,
        "used": [view.name for view in result.views],
        "unused": result.unused,
    }


def table_of(result: Result) -> Table:
    """Return the table for people: one row per picture, the sums in its title."""
    lens, place = result.lens, result.hand_eye
    K = result.calibration.K
    title = f"fx {K[0, 0]:.1f}, fy {K[1, 1]:.1f}, cx {K[0, 2]:.1f}, cy {K[1, 2]:.1f} px"
    if lens is not None:
        spread = ", ".join(f"{x:.1f}" for x in lens.K_std_px)
        title += f" (± {spread}); {lens.reprojection_px:.2f} px off"
    if place is not None:
        x, y, z = place.T_hand_camera[:3, 3]
        title += (
            f"\ncamera at {x:.4f}, {y:.4f}, {z:.4f} m; another method puts it "
            f"{place.other_method_mm:.1f} mm, {place.other_method_deg:.2f}° from there"
        )
    table = Table(title=title, title_justify="left")
    for column in ("picture", "corners", "lens px", "place mm", "place °"):
        table.add_column(column)
    for k, view in enumerate(result.views):
        table.add_row(
            view.name,
            str(len(view.ids)),
            f"{lens.view_px[k]:.2f}" if lens else "",
            f"{place.view_mm[k]:.1f}" if place else "",
            f"{place.view_deg[k]:.2f}" if place else "",
        )
    for name in result.unused:
        table.add_row(name, "no board", "", "", "")
    return table


def sheet_of(result: Result, board: BoardOptions) -> np.ndarray:
    """Return all used pictures with what was found in them."""
    tiles = [
        write_on(fit(_drawn(photo.image, view, board, result.calibration)), photo.name)
        for photo, view in zip(result.photos, result.views, strict=True)
    ]
    return grid([tiles[k : k + COLUMNS] for k in range(0, len(tiles), COLUMNS)])


def _drawn(
    image: UInt8[np.ndarray, "h w 3"], view: View, board: BoardOptions, calibration: Calibration
) -> np.ndarray:
    K, distortion = calibration.K, calibration.distortion
    picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)  # OpenCV's colours of axes are BGR
    corners: Sequence[Any] = view.corners_px.reshape(-1, 1, 2), view.ids.reshape(-1, 1)
    cv2.aruco.drawDetectedCornersCharuco(picture, *corners, (0, 200, 0))
    pose = board_pose(view, board, K=K, distortion=distortion)
    turn, length = cv2.Rodrigues(pose[:3, :3])[0], AXES_SQUARES * board.square_m
    cv2.drawFrameAxes(picture, K, distortion, turn, pose[:3, 3], length)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
