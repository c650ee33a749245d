"""What a camera's section of a config says; configs/camera/default.yaml has every key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from robot.errors import InputError
from robot.system.parse import Count, FolderName, NotNegative, Positive, options, parse

SETTINGS = (
    "exposure",
    "gain",
    "white_balance",
    "focus",
    "brightness",
    "contrast",
    "saturation",
) + (
    "sharpness",
    "gamma",
    "backlight",
)
SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")


class Kind(str, Enum):
    """What a source is."""

    DEVICE = "device"
    URL = "URL"
    VIDEO = "video"
    FOLDER = "folder"

    @property
    def is_live(self) -> bool:
        return self in (Kind.DEVICE, Kind.URL)


@options
class Crop:
    """The part of the upright picture that is kept, in pixels."""

    top: NotNegative
    left: NotNegative
    height: Count
    width: Count


@options
class Capture:
    """What a device is asked for; null leaves it to the device."""

    width: Count | None
    height: Count | None
    fps: Positive | None
    fourcc: Annotated[str, Field(pattern=r"^.{4}$")] | None


@options
class Playing:
    """How a video or a folder plays."""

    fps: Positive | None  # null: the video's own; 30 for a folder
    speed: Positive | None  # 1 in real time; null: one frame per call, none left out
    loop: bool


@options
class Limits:
    """From when on a camera is not healthy."""

    frozen_after: Count | None  # times the same picture again; null: a repeat is a new frame
    stalled_after_s: Positive  # without a new frame
    black_level: Annotated[int, Field(ge=0, le=255)]  # 99 % of a black frame is not brighter


@options
class Waiting:
    """How long a camera may take."""

    first_frame_s: Positive
    read_s: Positive  # of a URL without a frame; then it is opened anew
    retry_first_s: Positive  # before it is opened anew; doubles ...
    retry_most_s: Positive  # ... up to this


@options
class CameraOptions:
    """One camera. The picture is undistorted, rotated, flipped, cropped and resized, in that order;
    a null height and width keep what is left after cropping.
    """

    name: FolderName
    source: Annotated[str, BeforeValidator(str)]
    height: Count | None
    width: Count | None
    rotate: Literal[0, 90, 180, 270]  # degrees, clockwise
    flip: Literal["none", "horizontal", "vertical"]
    crop: Crop | None
    capture: Capture
    settings: Mapping[str, float]
    calibration: Path | None
    undistort: bool
    play: Playing
    limits: Limits
    wait: Waiting

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None):
            raise InputError(
                f"got height={self.height} and width={self.width} for camera {self.name}, expected "
                "both or neither; set both"
            )
        if self.undistort and self.calibration is None:
            raise InputError(
                f"got undistort=true without a calibration for camera {self.name}; pass the file "
                "that launch/calibrate.py writes as calibration="
            )
        if unknown := sorted(set(self.settings) - set(SETTINGS)):
            raise InputError(
                f"got setting {unknown[0]} for camera {self.name}, expected some of "
                f"{', '.join(SETTINGS)}; correct the name"
            )
        kind = kind_of(self.source)
        if self.settings and kind is not Kind.DEVICE:
            raise InputError(
                f"got settings {', '.join(self.settings)} for camera {self.name}, a {kind.value}, "
                "expected a device; drop them"
            )

    @property
    def kind(self) -> Kind:
        return kind_of(self.source)


def kind_of(source: str) -> Kind:
    """Return what a source is by its text. Raises InputError where it is nothing that exists."""
    if source.isdigit() or source.startswith("/dev/"):
        return Kind.DEVICE
    scheme, separator, _ = source.partition("://")
    if separator and scheme.lower() in SCHEMES:
        return Kind.URL
    path = Path(source)
    if path.is_dir():
        return Kind.FOLDER
    if path.is_file():
        return Kind.VIDEO
    raise InputError(
        f"got source={shown(source)}, expected a device (0 or /dev/video0), a URL "
        f"({', '.join(SCHEMES)}), a video or a folder of pictures that exists; correct it"
    )


def shown(text: str) -> str:
    """Return text without the user names and passwords of URLs in it."""
    return re.sub(r"://[^/@\s'\"]+@", "://***@", text)


def cameras_of(
    section: Mapping[str, Mapping[str, Any]], *, default: Mapping[str, Any]
) -> tuple[CameraOptions, ...]:
    """Return the cameras of a section {name: options}; what one leaves out is as in `default`."""
    return tuple(
        parse(CameraOptions, _merged(default, {"name": name, **own}), at=f"cameras.{name}")
        for name, own in section.items()
    )


def named_sources(sources: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return a section of cameras for bare sources, named by number."""
    return {f"camera{number}": {"source": str(source)} for number, source in enumerate(sources)}


def _merged(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(default)
    for key, value in own.items():
        below = default.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return merged
