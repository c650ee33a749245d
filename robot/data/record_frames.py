"""Records of the data engine as mask frames: a goal, and what of every camera's picture it needs.

A record counts where it states a goal (its slot `goal`) and shows one moment through several
cameras: its answer's mask is the target, what else is relevant for acting is the hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from robot.data import png
from robot.data.mask_frames import MaskFrames, MaskRecord, in_memory, joined
from robot.data.parquet import read_table
from robot.data.rle import decode
from robot.types import InputError, Label

MADE_BY = (
    "simulated=[mujoco/pick_related/randomised,mujoco/place_any/randomised] moments=staged "
    "generators=[goal_related] image_size=128 shards=20 episodes=40"
)
VISIBLE_PIXELS = 6  # fewer than this is not there
COLUMNS = ("slots", "family", "episodes", "frames", "cameras", "images", "tier", "seed")
MASKS = ("answer_masks", "relevance_masks")


def record_files(root: Path | None) -> tuple[Path, ...]:
    """Return the files of records of a data set of launch/generate.py, none without one; raise
    InputError where it has none.
    """
    files = () if root is None else tuple(sorted((root / "records").glob("*.parquet")))
    if root is not None and not files:
        raise InputError(
            f"got data.records={root}, which holds no records, expected a data set; make it: "
            f"python launch/generate.py root={root} {MADE_BY}"
        )
    return files


def check_records(root: Path | None, *, cameras: Sequence[str], size: int) -> None:
    """Raise InputError unless a data set, where there is one, begins with such goals."""
    if root is not None:
        load_records(record_files(root)[:1], cameras=cameras, size=size)


def load_records(files: Sequence[Path], *, cameras: Sequence[str], size: int) -> MaskFrames:
    """Return the goals of a data set's files that all of `cameras` see, as mask frames of `size`
    pixels; which are verified is `trusted`.

    Raises InputError where there is none, or pictures of another size.
    """
    pictures: dict[str, UInt8[np.ndarray, "h w 3"]] = {}
    records: list[MaskRecord] = []
    trusted: list[bool] = []
    root = files[0].parents[1]
    for path in files:
        for row in read_table(path).select([*COLUMNS, *MASKS]).to_pylist():
            if not _is_goal(row, cameras):
                continue
            for name in row["images"]:
                if name not in pictures:
                    pictures[name] = png.decode((root / name).read_bytes())
            records += _of_row(row, pictures, cameras)
            trusted += [row["tier"] == "trusted"] * len(cameras)
    if not records:
        raise InputError(
            f"got no goals seen by {', '.join(cameras)} in {root}, expected some of the generator "
            "goal_related; make them with launch/generate.py generators=[goal_related]"
        )
    if records[0].image.shape[0] != size:
        raise InputError(
            f"got records with pictures of {records[0].image.shape[0]} px in {root}, expected "
            f"{size}; make them with image_size={size}"
        )
    return in_memory(records, trusted=np.array(trusted))


def with_records(frames: MaskFrames, files: Sequence[Path]) -> MaskFrames:
    """Return mask frames and the goals of these files of records."""
    if not files:
        return frames
    cameras = [camera.name for camera in frames.camera_spaces]
    return joined(frames, load_records(files, cameras=cameras, size=frames.images.shape[1]))


def _is_goal(row: Mapping[str, Any], cameras: Sequence[str]) -> bool:
    """Return whether a record states a goal and shows one moment through these cameras."""
    moments = set(zip(row["episodes"], row["frames"], strict=True))
    return (
        "goal" in json.loads(row["slots"])
        and len(moments) == 1
        and set(row["cameras"]) == set(cameras)
        and len(row["cameras"]) == len(cameras)
    )


def _of_row(
    row: Mapping[str, Any], pictures: Mapping[str, np.ndarray], cameras: Sequence[str]
) -> Iterator[MaskRecord]:
    """Yield what every camera shows of a record."""
    for camera in cameras:
        k = row["cameras"].index(camera)
        answer, relevant = (decode(row[name][k]) for name in MASKS)
        label = np.where(answer, Label.TARGET, np.where(relevant, Label.GRIPPER, 0))
        yield MaskRecord(
            image=pictures[row["images"][k]],
            label=label.astype(np.uint8),
            goal=json.loads(row["slots"])["goal"],
            target_visible=int(answer.sum()) >= VISIBLE_PIXELS,
            destination_visible=False,
            camera=camera,
            scene=row["family"],
            seed=row["seed"],
        )
