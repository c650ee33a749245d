"""What launch/mask.py does: a picture, a folder of them or a video through a mask head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import vocabulary_of
from robot.errors import InputError
from robot.perception.names import check_deployment, resolve_head
from robot.system.parse import options, parse
from robot.words.reader import GoalReader

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
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
    check_deployment(asked.deployment, {})
    if not asked.goal.strip():
        raise InputError('got an empty goal, expected words; pass goal="pick up the red cup"')
    GoalReader.of(vocabulary_of(resolve_head(asked.head))).require(asked.goal)
    check_input(asked.image)
    yaml = OmegaConf.to_yaml(config, resolve=True)
    from launch.masked_pictures import mask  # torch: seconds

    return partial(mask, asked, config_yaml=yaml)


def check_input(path: Path) -> None:
    """Raise InputError unless `path` is a picture, a folder with some, or a video."""
    if path.is_dir():
        pictures_in(path)
    elif not path.is_file():
        raise InputError(f"got image={path}, which does not exist; pass a picture, folder or video")
    elif is_video(path):
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
    return found


def read_picture(path: Path) -> Picture:
    """Return a picture file as RGB, grey and transparent ones too."""
    picture = None
    with suppress(cv2.error):  # of more pixels than OpenCV takes
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


def is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEOS
