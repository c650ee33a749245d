"""A camera over OpenCV: a thread captures, and everyone else looks at its newest frame.

    with OpenCVStream(options) as stream:
        shot = stream.newest()

A lost camera is opened anew, with longer and longer pauses; until it is back, `newest` returns the
last frame, which ages. So does the frame of a camera that sends the same picture again and again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import TracebackType

from robot.errors import InputError
from robot.hardware.camera import CameraError, CameraHealth, Shot
from robot.hardware.cameras.calibration import Calibration, Undistortion, read_calibration
from robot.hardware.cameras.capture import Captured, health_of
from robot.hardware.cameras.mount import Mount, mount_of
from robot.hardware.cameras.options import CameraOptions, Kind
from robot.hardware.cameras.picture import Edit, is_black, is_repeat
from robot.hardware.cameras.sources import (
    DamagedFrame,
    EndOfPictures,
    Picture,
    Source,
    open_source,
)
from robot.spaces import Camera

JOIN_S = 2.0  # a driver may hold its thread for longer: it ends by itself


class OpenCVStream:
    """A `WatchedStream` over a device, a URL, a video or a folder of pictures."""

    def __init__(self, options: CameraOptions) -> None:
        self.options = options
        self.calibration: Calibration | None = None  # of captured pictures, before any edit
        if options.calibration is not None:
            self.calibration = read_calibration(options.calibration)
        self._undistortion: Undistortion | None = None
        if options.undistort and self.calibration is not None:
            self._undistortion = Undistortion(self.calibration)
        self._edit = Edit.of(options)
        self._captured = Captured()
        self._camera = None
        if options.height is not None and options.width is not None:
            self._camera = Camera(options.name, options.height, options.width)
        self._by_call = options.play.speed is None and not options.kind.is_live
        self._source: Source | None = None  # of pictures that come by call
        self._raw: Picture | None = None  # as captured last, to know a repeat by
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._first = threading.Event()

    @property
    def camera(self) -> Camera:
        """Return name and size. Raises CameraError where no option says the size and no frame has
        come.
        """
        if self._camera is None:
            raise CameraError(
                f"camera {self.options.name} has no size before its first frame; connect it, or "
                "set its height and width"
            )
        return self._camera

    @property
    def mount(self) -> Mount | None:
        """Return where the camera stands, where its calibration says so and a frame has come."""
        if self._raw is None:
            return None
        height, width = self._raw.shape[:2]
        return mount_of(
            self.calibration,
            self._edit,
            captured=(height, width),
            straight=self._undistortion is not None,
        )

    def connect(self) -> None:
        if self._thread is not None or self._source is not None:
            return
        self._end, self._first = threading.Event(), threading.Event()
        self._captured, self._raw = Captured(), None
        if self._by_call:
            self._source = open_source(self.options)
            self._captured = self._captured.with_connection()
            self._next_by_call(self._source)
            return
        self._thread = threading.Thread(
            target=self._capture, args=(self._end,), name=f"camera {self.options.name}", daemon=True
        )
        self._thread.start()
        if not self._first.wait(self.options.wait.first_frame_s):
            reason = self._captured.error or "nothing came; check it with launch/cameras.py"
            self.disconnect()
            raise CameraError(
                f"camera {self.options.name} gave no frame within "
                f"{self.options.wait.first_frame_s:g} s: {reason}"
            )

    def newest(self) -> Shot:
        if self._source is not None:
            self._next_by_call(self._source)
        shot = self._captured.shot
        if shot is None:
            raise CameraError(f"camera {self.options.name} has given no frame; connect it first")
        return shot

    def health(self) -> CameraHealth:
        """Return at once how well the camera works now."""
        now_s = time.monotonic()
        return health_of(self._captured, now_s=now_s, limits=self.options.limits)

    def disconnect(self) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None
        if self._source is not None:
            self._source.close()
            self._source = None
        self._captured = replace(self._captured, connected=False)

    def __enter__(self) -> OpenCVStream:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    def _next_by_call(self, source: Source) -> None:
        """Take the next picture; at the end of all, and for a damaged one, keep the last."""
        try:
            self._take(*source.read())
        except EndOfPictures as error:
            self._captured = self._captured.with_loss(str(error))
        except DamagedFrame as error:
            self._captured = self._captured.with_drop(str(error))

    def _capture(self, end: threading.Event) -> None:
        """Capture until `end`, through any loss of the camera."""
        pause_s = self.options.wait.retry_first_s
        while not end.is_set():
            frames = self._captured.shot
            try:
                self._capture_one_connection(end)
            except EndOfPictures as error:
                if not end.is_set():
                    self._captured = self._captured.with_loss(str(error))
                return
            # whatever a driver raises must not end the thread in silence: it is seen in `health`
            except Exception as error:
                if end.is_set():  # this thread was left behind: another may be at work by now
                    return
                self._captured = self._captured.with_loss(str(error) or type(error).__name__)
            if self._captured.shot is not frames:
                pause_s = self.options.wait.retry_first_s
            end.wait(pause_s)
            pause_s = min(2 * pause_s, self.options.wait.retry_most_s)

    def _capture_one_connection(self, end: threading.Event) -> None:
        source = open_source(self.options, wait=end.wait)
        try:
            if not end.is_set():
                self._captured = self._captured.with_connection()
                self._raw = None
            while not end.is_set():
                try:
                    picture, time_s = source.read()
                except DamagedFrame as error:
                    if not end.is_set():
                        self._captured = self._captured.with_drop(str(error))
                    continue
                if not end.is_set():
                    self._take(picture, time_s)
        finally:
            source.close()

    def _take(self, raw: Picture, time_s: float) -> None:
        """Make a captured picture the newest frame, unless it is the last one again."""
        detects = self.options.kind.is_live and self.options.limits.frozen_after is not None
        if detects and is_repeat(raw, self._raw):
            self._captured = self._captured.with_repeat()
            return
        self._raw = raw
        undistorted = raw if self._undistortion is None else self._undistortion.apply(raw)
        image = self._edit.apply(undistorted)
        height, width = image.shape[:2]
        if self._camera is None:
            self._camera = Camera(self.options.name, height, width)
        if (height, width) != (self._camera.height, self._camera.width):
            self._captured = self._captured.with_drop(
                f"a frame of {width} x {height} px came instead of {self._camera.width} x "
                f"{self._camera.height}; restart the camera, or set its height and width"
            )
            return
        black = is_black(image, level=self.options.limits.black_level)
        self._captured = self._captured.with_frame(image, time_s=time_s, black=black)
        self._first.set()


def streams_of(cameras: tuple[CameraOptions, ...]) -> tuple[OpenCVStream, ...]:
    """Return the streams of cameras. Raises InputError where two share a name or a device."""
    for what, values in (
        ("name", [camera.name for camera in cameras]),
        ("device", [camera.source for camera in cameras if camera.kind is Kind.DEVICE]),
    ):
        if twice := [value for value in values if values.count(value) > 1]:
            raise InputError(f"got {what} {twice[0]} for two cameras, expected each once; drop one")
    return tuple(OpenCVStream(camera) for camera in cameras)
