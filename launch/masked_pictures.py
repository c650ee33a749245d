"""What launch/mask.py does once its options are checked: pictures, videos and their masks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.table import Table

from launch.masking import VIDEOS, Masking, Named, Picture, frames_of, pictures_in, read_picture
from robot.data import png, rle
from robot.perception.compose.masking import Crop, Deployment, compose, labels_from_mask
from robot.perception.head.base import Head
from robot.perception.pictures import PictureMask, look_at
from robot.perception.registry import make_deployment
from robot.report.pictures import composite_rgb, drawn
from robot.report.video import opened_video
from robot.system.command import run_folder, write_results
from robot.types import MASK_CHANNELS

AT_ONCE, PIXELS_AT_ONCE = 8, 2_000_000  # of a batch: fits caches, bounds memory
ROWS = 20  # of the table


def mask(asked: Masking, *, config_yaml: str) -> None:
    """Mask everything; results.json is the last line on stdout."""
    head, deployment = Head.load(asked.head), make_deployment(asked.deployment)
    entries: list[dict[str, Any]] = []
    with run_folder("mask", config_yaml=config_yaml) as run, ExitStack() as stack:
        start = time.perf_counter()
        if asked.image.suffix.lower() in VIDEOS and asked.image.is_file():
            fps = _fps(asked.image)
            names = {kind: f"{asked.image.stem}-{kind}.mp4" for kind in ("overlay", "masked")}
            add = {
                kind: stack.enter_context(opened_video(run / name, fps=fps))
                for kind, name in names.items()
            }
            for name, picture, said in looked_at(head, frames_of(asked.image), asked.goal):
                shown, entry = views(picture, said, deployment=deployment)
                for kind, image in shown.items():
                    add[kind](image)
                entries.append({"name": name, **entry})
            files = names
        else:
            files = {}
            paths = pictures_in(asked.image) if asked.image.is_dir() else [asked.image]
            named = ((path.name, read_picture(path)) for path in paths)
            for name, picture, said in looked_at(head, named, asked.goal):
                shown, entry = views(picture, said, deployment=deployment)
                written = {kind: f"{name}-{kind}.png" for kind in shown}
                for kind, image in shown.items():
                    (run / written[kind]).write_bytes(png.encode(image))
                entries.append({"name": name, **entry, "files": written})
        stack.close()  # finishes the videos
        seconds = time.perf_counter() - start
        Console(file=sys.stderr).print(table_of(entries, seconds=seconds))
        results = {"files": files, "seconds": seconds, "pictures": entries}
        write_results(run, asdict(asked) | results)


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
