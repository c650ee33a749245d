"""What launch/mask.py does once its options are checked: pictures, videos and their masks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.table import Table

from launch.masking import Masking, Named, Picture, frames_of, is_video, pictures_in, read_picture
from robot.data import png, rle
from robot.perception.compose.masking import Crop, Deployment, compose, labels_from_mask
from robot.perception.head.base import Head
from robot.perception.pictures import PictureMask, look_at
from robot.perception.registry import make_deployment
from robot.report.pictures import composite_rgb, drawn
from robot.report.video import opened_video
from robot.system.command import run_folder, write_results
from robot.types import MASK_CHANNELS, InputError
from robot.words.reader import GoalReader

AT_ONCE, PIXELS_AT_ONCE = 8, 2_000_000  # of a batch: fits caches, bounds memory
ROWS = 20  # of the table


def mask(asked: Masking, *, config_yaml: str) -> None:
    """Mask everything; results.json is the last line on stdout. A picture of a folder that cannot
    be read is named and left out, and exit code 1.
    """
    console = Console(file=sys.stderr)
    head, deployment = Head.load(asked.head), make_deployment(asked.deployment)
    if remark := GoalReader.of(head.vocabulary).read(asked.goal).note:
        console.print(f"note: {remark}", markup=False, highlight=False)
    left_out: dict[str, str] = {}

    def leave_out(name: str, why: str) -> None:
        left_out[name] = why
        console.print(f"left out: {why}", markup=False, highlight=False, soft_wrap=True)

    named = frames_of(asked.image) if is_video(asked.image) else pictures_of(asked.image, leave_out)
    entries: list[dict[str, Any]] = []
    with run_folder("mask", config_yaml=config_yaml) as run:
        start = time.perf_counter()
        with writer_of(asked.image, run) as write:
            for name, picture, found in looked_at(head, named, asked.goal):
                shown, entry = views(picture, found, deployment=deployment)
                entries.append({"name": name, **entry, **write(name, shown)})
        seconds = time.perf_counter() - start
        console.print(table_of(entries, seconds=seconds))
        if left_out:
            console.print(f"{len(left_out)} of {len(entries) + len(left_out)} were left out")
        results = {"files": video_names(asked.image), "seconds": seconds, "pictures": entries}
        write_results(run, asdict(asked) | results | {"left_out": left_out})
    if left_out:
        raise SystemExit(1)


# (name of a picture, its views by kind) -> what results.json says of it besides
Write = Callable[[str, Mapping[str, Picture]], dict[str, Any]]


def writer_of(image: Path, run: Path) -> AbstractContextManager[Write]:
    """Return what opens the outputs in `run`, and yields what writes the views of a picture."""
    names = video_names(image)
    return writing_videos(run, names, fps=_fps(image)) if names else writing_pictures(run)


@contextmanager
def writing_pictures(run: Path) -> Iterator[Write]:
    """Yield what writes each view of a picture into a file of its own, and names the files."""

    def write(name: str, shown: Mapping[str, Picture]) -> dict[str, Any]:
        files = {kind: f"{name}-{kind}.png" for kind in shown}
        for kind, image in shown.items():
            (run / files[kind]).write_bytes(png.encode(image))
        return {"files": files}

    yield write


@contextmanager
def writing_videos(run: Path, names: Mapping[str, str], *, fps: float) -> Iterator[Write]:
    """Open a video per view, `names` by kind, and yield what adds a frame to each."""
    with ExitStack() as stack:
        add = {
            kind: stack.enter_context(opened_video(run / name, fps=fps))
            for kind, name in names.items()
        }

        def write(name: str, shown: Mapping[str, Picture]) -> dict[str, Any]:
            for kind, image in shown.items():
                add[kind](image)
            return {}

        yield write


def video_names(image: Path) -> dict[str, str]:
    """Return the files of a video's views by kind; of pictures, which have files of their own,
    none.
    """
    kinds = ("overlay", "masked") if is_video(image) else ()
    return {kind: f"{image.stem}-{kind}.mp4" for kind in kinds}


def pictures_of(path: Path, leave_out: Callable[[str, str], None]) -> Iterator[Named]:
    """Yield a picture, or those of a folder; of a folder, tell `leave_out` the name of one that
    cannot be read, and why.
    """
    for one in pictures_in(path) if path.is_dir() else [path]:
        try:
            picture = read_picture(one)
        except InputError as error:
            if not path.is_dir():
                raise
            leave_out(one.name, str(error))
        else:
            yield one.name, picture


def looked_at(
    head: Head, named: Iterable[Named], goal: str
) -> Iterator[tuple[str, Picture, PictureMask]]:
    """Yield each picture with what the head says, pictures of one size batched."""
    for shape, group in groupby(named, key=lambda item: item[1].shape):
        at_once = max(1, min(AT_ONCE, PIXELS_AT_ONCE // (shape[0] * shape[1])))
        for batch in _batches(group, size=at_once):
            said = look_at(head, [picture for _, picture in batch], goal)
            for (name, picture), one in zip(batch, said, strict=True):
                yield name, picture, one


def views(
    picture: Picture, said: PictureMask, *, deployment: Deployment
) -> tuple[dict[str, Picture], dict[str, Any]]:
    """Return the pictures to write, and the entry of results.json."""
    probability = torch.from_numpy(said.probability)[None]
    labels = labels_from_mask(probability)[0].numpy()
    height, width = picture.shape[:2]
    # a crop is a square; all else has the picture's shape
    side = min(height, width)
    size = (side, side) if isinstance(deployment, Crop) else (height, width)
    composite = compose(picture[None], probability, deployment=deployment, size=size)[0]
    entry = {
        "size": [height, width],
        "status": said.status,
        "presence": {"target": said.presence[0], "destination": said.presence[1]},
        "predicted_iou": said.predicted_iou,
        "asked": said.sentence,
        "masks": {role.name.lower(): rle.encode(labels == role.value) for role in MASK_CHANNELS},
    }
    return {"overlay": drawn(picture, labels), "masked": composite_rgb(composite.numpy())}, entry


def table_of(entries: list[dict[str, Any]], *, seconds: float) -> Table:
    """Return the table for people; of many pictures, the first."""
    table = Table(title=f"{len(entries)} looked at in {seconds:.1f} s", title_justify="left")
    for column in ("picture", "size", "status", "presence", "predicted IoU"):
        table.add_column(column)
    for entry in entries[:ROWS]:
        height, width = entry["size"]
        table.add_row(
            entry["name"],
            f"{width} x {height}",
            entry["status"].value,
            f"{entry['presence']['target']:.2f}",
            f"{entry['predicted_iou']:.2f}",
        )
    if len(entries) > ROWS:
        table.add_row(f"and {len(entries) - ROWS} more")
    return table


def _batches(items: Iterable[Named], *, size: int) -> Iterator[list[Named]]:
    batch: list[Named] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _fps(path: Path) -> float:
    video = cv2.VideoCapture(str(path))
    fps = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return fps if 0 < fps < 1000 else 20.0
