"""What launch/mask.py does: a picture, a folder of them or a video through a mask head."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from robot.checkpoint import vocabulary_of
from robot.data import png, rle
from robot.perception.compose.masking import Crop, Deployment, compose, labels_from_mask
from robot.perception.head.base import Head
from robot.perception.pictures import PictureMask, look_at
from robot.perception.registry import make_deployment
from robot.report.pictures import composite_rgb, drawn
from robot.report.video import opened_video
from robot.system.command import run_folder, write_results
from robot.system.parse import options, parse
from robot.types import MASK_CHANNELS, InputError
from robot.words.reader import GoalReader, shortened

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
AT_ONCE, PIXELS_AT_ONCE = 8, 2_000_000  # of a batch: fits caches, bounds memory
ROWS = 20  # of the table
Picture = UInt8[np.ndarray, "h w 3"]
Named = tuple[str, Picture]


@options
class Masking:
    """configs/mask.yaml."""

    image: Path
    goal: str
    head: str
    deployment: str


def masking(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Masking, values)
    deployment = make_deployment(asked.deployment)
    if not asked.goal.strip():
        raise InputError('got an empty goal, expected words; pass goal="pick up the red cup"')
    read = GoalReader.of(vocabulary_of(Head.resolve(asked.head))).read(asked.goal)
    if not read.sentences:
        raise InputError(
            f"got goal {shortened(asked.goal)!r}, which asks for nothing that the mask head can "
            f"find ({read.reason or read.status.value}); say it otherwise"
        )
    check_input(asked.image)
    yaml = OmegaConf.to_yaml(config, resolve=True)
    return partial(mask, asked, deployment=deployment, config_yaml=yaml)


def check_input(path: Path) -> None:
    """Raise InputError unless `path` is a picture, a folder with some, or a video."""
    if path.is_dir():
        pictures_in(path)
    elif not path.is_file():
        raise InputError(f"got image={path}, which does not exist; pass a picture, folder or video")
    elif _is_video(path):
        next(frames_of(path))
    else:
        read_picture(path)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name."""
    found = sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in PICTURES
    )
    if not found:
        raise InputError(
            f"got image={folder}, a folder without pictures, expected some of "
            f"{', '.join(PICTURES)}; pass another one"
        )
    if unreadable := [path for path in found if not cv2.haveImageReader(str(path))]:
        raise InputError(f"got {unreadable[0]}, which is no picture; remove or replace it")
    return found


def read_picture(path: Path) -> Picture:
    """Return a picture file as RGB, grey and transparent ones too."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"got {path}, which is no picture that can be read; pass a PNG or JPEG")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def frames_of(path: Path) -> Iterator[Named]:
    """Yield the frames of a video. InputError where there is none."""
    video = cv2.VideoCapture(str(path))
    index = 0
    try:
        while True:
            there, frame = video.read()
            if not there:
                break
            yield f"{index:06d}", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            index += 1
    finally:
        video.release()
    if not index:
        raise InputError(f"got {path}, a video without a frame that can be read; pass another one")


def mask(asked: Masking, *, deployment: Deployment, config_yaml: str) -> None:
    """Mask everything; results.json is the last line on stdout."""
    head = Head.load(asked.head)
    named = frames_of(asked.image) if _is_video(asked.image) else pictures_of(asked.image)
    entries: list[dict[str, Any]] = []
    with run_folder("mask", config_yaml=config_yaml) as run:
        start = time.perf_counter()
        with writer_of(asked.image, run) as write:
            for name, picture, found in looked_at(head, named, asked.goal):
                shown, entry = views(picture, found, deployment=deployment)
                entries.append({"name": name, **entry, **write(name, shown)})
        seconds = time.perf_counter() - start
        Console(file=sys.stderr).print(table_of(entries, seconds=seconds))
        results = {"files": video_names(asked.image), "seconds": seconds, "pictures": entries}
        write_results(run, asdict(asked) | results)


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
    kinds = ("overlay", "masked") if _is_video(image) else ()
    return {kind: f"{image.stem}-{kind}.mp4" for kind in kinds}


def pictures_of(path: Path) -> Iterator[Named]:
    """Yield a picture, or those of a folder."""
    paths = pictures_in(path) if path.is_dir() else [path]
    return ((path.name, read_picture(path)) for path in paths)


def _is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEOS


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
