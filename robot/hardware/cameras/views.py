"""A folder of pictures for calibration, and beside each the pose of the arm that it was taken at:
`007.png` and `007.json` with {"T_base_ee": 4 x 4}, or {"ee_position": 3, "ee_rotation": 3 x 3}.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from robot.errors import InputError
from robot.hardware.arm import Arm, ArmState
from robot.hardware.camera import CameraStream, Shot
from robot.hardware.cameras.board import BoardOptions, View, find_board
from robot.hardware.cameras.calibration import check_pose
from robot.hardware.cameras.poses import Pose, pose_of
from robot.hardware.cameras.sources import PICTURES

STILL_RAD_S = 0.01  # the fastest joint of an arm at rest
STILL_S = 0.3  # that long before a picture is taken
WAIT_S = 10.0  # for that


@dataclass(frozen=True)
class Photo:
    """One picture and, where it was stated, the arm's pose."""

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    T_base_ee: Pose | None


def read_photos(folder: Path, *, with_poses: bool) -> list[Photo]:
    """Return the pictures of a folder by name. Raises InputError for whatever is missing."""
    if not folder.is_dir():
        raise InputError(f"got pictures={folder}, which is no folder; pass one with pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if not paths:
        raise InputError(
            f"got pictures={folder} without pictures ({', '.join(PICTURES)}); pass another folder"
        )
    photos = [_photo(path, with_pose=with_poses) for path in paths]
    sizes = {photo.image.shape[:2]: photo.name for photo in photos}
    if len(sizes) > 1:
        (one, a), (other, b) = list(sizes.items())[:2]
        raise InputError(
            f"got pictures of {one[1]} x {one[0]} px ({a}) and {other[1]} x {other[0]} px ({b}), "
            "expected one size; take all with one camera and setting"
        )
    return photos


def read_pose(path: Path) -> Pose:
    """Return T_base_ee from a JSON file."""
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"got no {path}, expected the arm's pose for its picture as T_base_ee; add it, or "
            "pass mount=none to calibrate the lens alone"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"got {path}, which is no JSON ({error}); correct it") from error
    try:
        if "T_base_ee" in content:
            pose = np.asarray(content["T_base_ee"], np.float64)
        else:
            rotation = np.asarray(content["ee_rotation"], np.float64).reshape(3, 3)
            pose = pose_of(rotation, np.asarray(content["ee_position"], np.float64).reshape(3))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"got {path} without an arm's pose, expected T_base_ee (4 x 4), or ee_position (3, in "
            "metres) and ee_rotation (3 x 3); correct it"
        ) from error
    check_pose(pose, name=f"the pose of {path}")
    return pose


def find_views(photos: list[Photo], board: BoardOptions) -> tuple[list[Photo], list[View]]:
    """Return the pictures that show the board, and its corners in them."""
    found = [(photo, find_board(photo.image, board, name=photo.name)) for photo in photos]
    shown = [(photo, view) for photo, view in found if view is not None]
    return [photo for photo, _ in shown], [view for _, view in shown]


def record_views(
    arm: Arm,
    camera: CameraStream,
    board: BoardOptions,
    folder: Path,
    *,
    ask: Callable[[str], bool],
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Fill a folder with pictures and poses from a connected arm and camera; return how many.

    `ask(sentence)` waits until a person has moved the arm and returns whether a view is to be
    taken; it returns False to end. Nothing here moves the arm. A view is taken once the arm rests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = len(list(folder.glob("*.json")))
    sentence = "bring the board into view with the arm at rest"
    while ask(f"{count} views: {sentence}"):
        rested = shot_at_rest(arm, camera, clock=clock, wait=wait)
        if rested is None:
            sentence = "the arm did not rest, or the camera gave no new frame; try again"
            continue
        state, shot = rested
        view = find_board(shot.image, board)
        if view is None:
            sentence = "the board was not seen; move it or the camera"
            continue
        write_view(folder / f"{count:03d}", state, shot)
        count += 1
        sentence = f"{len(view.ids)} corners; turn the hand and tilt the board for the next"
    return count


def shot_at_rest(
    arm: Arm,
    camera: CameraStream,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[ArmState, Shot] | None:
    """Return the arm's state and a frame that was captured after it had rested for STILL_S, None
    where that does not happen within WAIT_S.
    """
    start_s = since_s = clock()
    while clock() < start_s + WAIT_S:
        state = arm.read()
        if np.abs(state.joint_velocity).max() > STILL_RAD_S:
            since_s = clock()
        shot = camera.newest()
        if min(shot.time_s, state.time_s) >= since_s + STILL_S:
            return state, shot
        wait(0.01)
    return None


def write_view(stem: Path, state: ArmState, shot: Shot) -> None:
    """Write a picture and its pose; the pose last, so that a view is whole or not counted."""
    picture = cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(stem.with_suffix(".png")), picture):
        raise InputError(f"cannot write {stem}.png; choose a folder that you may write to")
    pose = pose_of(state.ee_rotation, state.ee_position)
    stem.with_suffix(".json").write_text(json.dumps({"T_base_ee": pose.tolist()}, indent=2) + "\n")


def _photo(path: Path, *, with_pose: bool) -> Photo:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"got {path}, which is no picture that can be read; remove or replace it")
    pose = read_pose(path.with_suffix(".json")) if with_pose else None
    return Photo(path.name, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), pose)
