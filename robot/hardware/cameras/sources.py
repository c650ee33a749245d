"""Where pictures come from: a device, a URL, a video, a folder. All block until the next picture,
which is the capturing thread's business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors come as exceptions, not on stderr

import cv2
import numpy as np
from jaxtyping import UInt8

from robot.errors import InputError
from robot.hardware.camera import CameraError
from robot.hardware.cameras.options import CameraOptions, Capture, Kind, Playing, shown

Picture = UInt8[np.ndarray, "h w 3"]
Wait = Callable[[float], object]  # returns after so many seconds, or at once when all ends

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FOLDER_FPS = 30.0
NEWEST_S = 1.0  # a driver's time of capture that is older is of another clock
SETTINGS = {
    "exposure": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
    "white_balance": cv2.CAP_PROP_WB_TEMPERATURE,
    "focus": cv2.CAP_PROP_FOCUS,
    "brightness": cv2.CAP_PROP_BRIGHTNESS,
    "contrast": cv2.CAP_PROP_CONTRAST,
    "saturation": cv2.CAP_PROP_SATURATION,
    "sharpness": cv2.CAP_PROP_SHARPNESS,
    "gamma": cv2.CAP_PROP_GAMMA,
    "backlight": cv2.CAP_PROP_BACKLIGHT,
}
# what the driver would change behind the setting's back: property, and its value for "by hand"
AUTOMATICS = {
    "exposure": (cv2.CAP_PROP_AUTO_EXPOSURE, 1.0),  # V4L2: 1 by hand, 3 automatic
    "white_balance": (cv2.CAP_PROP_AUTO_WB, 0.0),
    "focus": (cv2.CAP_PROP_AUTOFOCUS, 0.0),
}


class DamagedFrame(CameraError):
    """A frame came and cannot be used; the next one may be good."""


class EndOfPictures(CameraError):
    """A video or folder that does not loop has been played."""


class Source(Protocol):
    """An open source."""

    def read(self) -> tuple[Picture, float]:
        """Wait for the next picture; return it as RGB with the monotonic time of its capture.

        Raises CameraError when the source is lost, DamagedFrame, EndOfPictures.
        """
        ...

    def close(self) -> None: ...


def open_source(options: CameraOptions, *, wait: Wait = time.sleep) -> Source:
    """Open a camera's source. Raises CameraError where that fails."""
    cv2.setLogLevel(0)
    try:
        match options.kind:
            case Kind.DEVICE:
                return Device(options.source, options.capture, settings=options.settings)
            case Kind.URL:
                return Stream(
                    options.source,
                    open_s=options.wait.first_frame_s,
                    read_s=options.wait.read_s,
                )
            case Kind.VIDEO:
                return Video(Path(options.source), options.play, wait=wait)
            case Kind.FOLDER:
                return Folder(Path(options.source), options.play, wait=wait)
    except InputError as error:  # it was there when the options were checked
        raise CameraError(str(error)) from error


class Device:
    """A camera of this computer."""

    def __init__(self, source: str, asked: Capture, *, settings: Mapping[str, float]) -> None:
        self._source = source
        self._capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not self._capture.isOpened():
            raise CameraError(
                f"device {source} cannot be opened; check its cable and who else uses it, and list "
                "the devices with launch/cameras.py"
            )
        try:
            set_format(self._capture, asked, name=source)
            apply_settings(self._capture, settings, name=source)
        except CameraError:
            self._capture.release()
            raise

    def read(self) -> tuple[Picture, float]:
        if not self._capture.grab():
            raise CameraError(f"device {self._source} gives no more frames; check its cable")
        driver_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        time_s = capture_time(time.monotonic(), driver_s=driver_s)
        return _retrieved(self._capture, self._source), time_s

    def close(self) -> None:
        self._capture.release()


class Stream:
    """A camera on the network: whatever FFmpeg plays from a URL."""

    def __init__(self, url: str, *, open_s: float, read_s: float) -> None:
        self._name = shown(url)
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(1, round(open_s * 1000))),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, max(1, round(read_s * 1000))),
        ]
        self._capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise CameraError(f"{self._name} does not answer with a video; check address and power")

    def read(self) -> tuple[Picture, float]:
        if not self._capture.grab():
            raise CameraError(f"{self._name} sends no more frames; check network and camera")
        time_s = time.monotonic()
        return _retrieved(self._capture, self._name), time_s

    def close(self) -> None:
        self._capture.release()


class Video:
    """A video file, as a camera would have shown it: late frames are left out in real time."""

    def __init__(self, path: Path, play: Playing, *, wait: Wait) -> None:
        self._path = path
        self._loop = play.loop
        self._capture = cv2.VideoCapture(str(path))
        first = self._capture.isOpened() and self._capture.grab()
        if not first:
            self._capture.release()
            raise CameraError(f"{path} is no video that can be read; pass another file")
        self._rewind()
        stated = self._capture.get(cv2.CAP_PROP_FPS)
        fps = play.fps or (stated if 0 < stated < 1000 else FOLDER_FPS)
        self._pace = Pace(fps=fps, speed=play.speed, wait=wait)

    def read(self) -> tuple[Picture, float]:
        for _ in range(self._pace.to_leave_out()):
            self._grab()
        self._grab()
        self._pace.await_due()
        return _retrieved(self._capture, str(self._path)), time.monotonic()

    def close(self) -> None:
        self._capture.release()

    def _grab(self) -> None:
        if self._capture.grab():
            return
        if not self._loop:
            raise EndOfPictures(f"{self._path} has ended; pass play.loop=true to repeat it")
        self._rewind()
        if not self._capture.grab():
            raise CameraError(f"{self._path} cannot be played again; pass play.loop=false")

    def _rewind(self) -> None:
        if not self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0):
            self._capture.open(str(self._path))


class Folder:
    """The pictures of a folder by name."""

    def __init__(self, folder: Path, play: Playing, *, wait: Wait) -> None:
        self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
        if not self._paths:
            raise CameraError(
                f"{folder} has no pictures ({', '.join(PICTURES)}); pass another folder"
            )
        self._folder, self._loop, self._next = folder, play.loop, 0
        self._pace = Pace(fps=play.fps or FOLDER_FPS, speed=play.speed, wait=wait)

    def read(self) -> tuple[Picture, float]:
        self._next += self._pace.to_leave_out()
        if self._next >= len(self._paths) and not self._loop:
            raise EndOfPictures(f"{self._folder} has ended; pass play.loop=true to repeat it")
        path = self._paths[self._next % len(self._paths)]
        self._next += 1
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        self._pace.await_due()
        if picture is None:
            raise DamagedFrame(f"{path} is no picture that can be read; remove it")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), time.monotonic()

    def close(self) -> None:
        """Do nothing: no file stays open."""


class Pace:
    """When each frame of a recording is due; without a speed, at once."""

    def __init__(
        self,
        *,
        fps: float,
        speed: float | None,
        wait: Wait,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._period_s = None if speed is None else 1.0 / (fps * speed)
        self._wait, self._clock = wait, clock
        self._start_s: float | None = None
        self._index = -1  # of the frame that was given last

    def to_leave_out(self) -> int:
        """Begin the next frame; return how many before it are too late to be shown."""
        if self._period_s is None:
            return 0
        now_s = self._clock()
        if self._start_s is None:
            self._start_s = now_s
        due = int((now_s - self._start_s) / self._period_s)
        late = max(0, due - (self._index + 1))
        self._index += late + 1
        return late

    def await_due(self) -> None:
        """Wait until the frame that was begun is due."""
        if self._period_s is None or self._start_s is None:
            return
        remaining_s = self._start_s + self._index * self._period_s - self._clock()
        if remaining_s > 0:
            self._wait(remaining_s)


def capture_time(now_s: float, *, driver_s: float) -> float:
    """Return when a frame was captured: the driver's monotonic time (V4L2 gives it) where it can
    be one, or else now.
    """
    return driver_s if now_s - NEWEST_S < driver_s <= now_s else now_s


def set_format(capture: cv2.VideoCapture, asked: Capture, *, name: str) -> None:
    """Ask a device for size, rate and format. Raises CameraError where the size is another."""
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if asked.fourcc is not None:  # first: it decides which sizes and rates there are
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.fourcc))
    for value, key, what in (
        (asked.width, cv2.CAP_PROP_FRAME_WIDTH, "width"),
        (asked.height, cv2.CAP_PROP_FRAME_HEIGHT, "height"),
    ):
        if value is not None:
            capture.set(key, value)
            if (got := round(capture.get(key))) != value:
                raise CameraError(
                    f"device {name} gives frames of {what} {got}, not the {value} of capture."
                    f"{what}; ask for a size that it has (v4l2-ctl --list-formats-ext)"
                )
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)


def apply_settings(capture: cv2.VideoCapture, settings: Mapping[str, float], *, name: str) -> None:
    """Set exposure and the like by hand. Raises CameraError for what the device does not take."""
    for setting, value in settings.items():
        if setting in AUTOMATICS:
            capture.set(*AUTOMATICS[setting])
        if not capture.set(SETTINGS[setting], value):
            raise CameraError(
                f"device {name} does not take {setting}={value:g}; drop it from settings or see "
                "its range with v4l2-ctl --list-ctrls"
            )


def _retrieved(capture: cv2.VideoCapture, name: str) -> Picture:
    there, picture = capture.retrieve()
    if not there or picture is None:
        raise DamagedFrame(f"a frame of {name} is damaged")
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
