"""Episodes as MP4 that every browser plays, and as data URIs that need no file beside the page."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.stream import VideoStream
from jaxtyping import UInt8

from robot.report.pictures import fit, grid, write_on
from robot.types import InputError

# H.264 plays everywhere; VP9 in MP4 plays in every browser since 2021 and stands in where ffmpeg
# was built without x264.
CODECS = {
    "libx264": {"crf": "23", "preset": "veryfast", "tune": "animation", "threads": "1"},
    "libvpx-vp9": {
        "crf": "34",
        "b:v": "0",
        "deadline": "realtime",
        "cpu-used": "8",
        "threads": "1",
    },
}


def available_codec() -> str:
    """Return the first codec of CODECS that this build of PyAV can encode."""
    for name in CODECS:
        try:
            av.Codec(name, "w")
        except UnknownCodecError:
            continue
        return name
    raise InputError(
        f"got a PyAV without any of {', '.join(CODECS)}, expected one of them; install PyAV's "
        "wheel: pip install av"
    )


def film(
    rows: Mapping[str, Sequence[UInt8[np.ndarray, "_ _ 3"]]],
    *,
    columns: int,
    times_s: Sequence[float],
    tile: int = 256,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the frames of a video from `pictures.episode_rows`: at every moment all views,
    `columns` beside each other, and the time on the first.
    """
    for time_s, *moment in zip(times_s, *rows.values(), strict=True):
        tiles = [fit(image, size=tile) for image in moment]
        tiles[0] = write_on(tiles[0], f"{time_s:.1f} s", corner="right")
        yield grid([tiles[start : start + columns] for start in range(0, len(tiles), columns)])


def holding(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], *, last: int
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the frames, and the last one `last` more times: a video that starts over at once hides
    how the episode ended.
    """
    frame = None
    for frame in frames:  # the last one is needed after the loop
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, last)


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], *, fps: float) -> Path:
    """Encode RGB frames of one size as MP4 (yuv420p, index first) and return the path; odd sizes
    lose a row or column.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(
            f"got no frames for {path}, expected at least one; check that the episode was recorded"
        )
    with opened_video(path, fps=fps) as add:
        for image in itertools.chain([first], frames):
            add(image)
    return path


@contextmanager
def opened_video(
    path: Path, *, fps: float
) -> Iterator[Callable[[UInt8[np.ndarray, "h w 3"]], None]]:
    """Yield what adds one RGB frame to an MP4 as `write_video` makes it."""
    codec = available_codec()
    with av.open(str(path), mode="w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            codec, rate=Fraction(fps).limit_denominator(1000), options=CODECS[codec]
        )
        assert isinstance(stream, VideoStream)
        shape: tuple[int, ...] = ()

        def add(image: UInt8[np.ndarray, "h w 3"]) -> None:
            nonlocal shape
            if not shape:
                shape = image.shape
                stream.height, stream.width = (
                    side - side % 2 for side in shape[:2]
                )  # yuv420p halves both axes
                stream.pix_fmt = "yuv420p"
            if image.shape != shape:
                raise InputError(
                    f"got a frame of {image.shape} after {shape} in {path}, expected one "
                    "size; resize before"
                )
            picture = np.ascontiguousarray(image[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

        yield add
        if shape:
            container.mux(stream.encode(None))


def video_uri(path: Path) -> str:
    """Return an MP4 file as a data URI."""
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
