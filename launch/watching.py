"""What launch/cameras.py does: cameras opened, watched and shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from robot.data import png
from robot.errors import InputError
from robot.hardware.camera import CameraError, CameraHealth, Shot
from robot.hardware.cameras.find import found_devices
from robot.hardware.cameras.options import CameraOptions, cameras_of, named_sources, shown
from robot.hardware.cameras.stream import OpenCVStream, streams_of
from robot.report.pictures import TILE, fit, grid, write_on
from robot.system.command import run_folder, write_results
from robot.system.parse import Positive, options, parse

COLUMNS = 3  # of the contact sheet and of the live view
QUIT = (ord("q"), 27)  # keys of the live view


@options
class Watching:
    """configs/cameras.yaml."""

    camera: Mapping[str, Any]
    cameras: Mapping[str, Mapping[str, Any]]
    sources: Sequence[str | int]
    watch_s: Positive
    view: bool


@dataclass(frozen=True)
class Watched:
    """What was seen of one camera."""

    options: CameraOptions
    model: str
    shot: Shot | None
    health: CameraHealth

    @property
    def size(self) -> str:
        if self.shot is None:
            return ""
        height, width = self.shot.image.shape[:2]
        return f"{width} x {height}"


def watching(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Watching, values)
    models: dict[str, str] = {}
    section = {**named_sources(asked.sources), **asked.cameras}
    if not section:
        found = {device.path.name: device for device in found_devices()}
        section = {name: {"source": str(device.path)} for name, device in found.items()}
        models = {name: device.model for name, device in found.items()}
    if not section:
        raise InputError(
            "got no camera, expected a video device on this computer or sources; plug one in, or "
            "pass 'sources=[\"rtsp://...\"]', a video or a folder of pictures"
        )
    streams = streams_of(cameras_of(section, default=asked.camera))
    yaml = shown(OmegaConf.to_yaml(config, resolve=True))
    return partial(watch, asked, streams=streams, models=models, config_yaml=yaml)


def watch(
    asked: Watching, *, streams: Sequence[OpenCVStream], models: Mapping[str, str], config_yaml: str
) -> None:
    """Watch the cameras; results.json is the last line on stdout, and a camera with a problem exit
    code 1.
    """
    console = Console(file=sys.stderr)
    with run_folder("cameras", config_yaml=config_yaml) as run:
        try:
            errors = connected(streams)
            time.sleep(asked.watch_s)
            watched = [seen(s, models=models, error=errors[s.options.name]) for s in streams]
            console.print(table_of(watched))
            write_pictures(run, watched)
            write_results(run, {"cameras": {one.options.name: entry_of(one) for one in watched}})
            if asked.view:  # last: it goes on until a person ends it
                working = [s for s in streams if not errors[s.options.name]]
                if sentence := no_display() or view(working):
                    console.print(f"view=true: {sentence}; the pictures are in {run}")
        finally:
            for stream in streams:
                stream.disconnect()
    if any(one.health.problem for one in watched):
        raise SystemExit(1)


def connected(streams: Sequence[OpenCVStream]) -> dict[str, str]:
    """Connect all cameras at once; return why one does not work, by name."""
    with ThreadPoolExecutor(len(streams)) as pool:
        errors = pool.map(_error_of, streams)
        return {stream.options.name: error for stream, error in zip(streams, errors, strict=True)}


def _error_of(stream: OpenCVStream) -> str:
    try:
        stream.connect()
    except CameraError as error:
        return str(error)
    return ""


def seen(stream: OpenCVStream, *, models: Mapping[str, str], error: str) -> Watched:
    """Return what a camera shows now."""
    name = stream.options.name
    shot = None if error else stream.newest()
    return Watched(stream.options, models.get(name, ""), shot, stream.health())


def table_of(watched: Sequence[Watched]) -> Table:
    """Return the table for people."""
    table = Table(title=f"{len(watched)} cameras", title_justify="left")
    for column in ("camera", "source", "size", "fps", "health"):
        table.add_column(column, overflow="fold")
    for one in watched:
        source = shown(one.options.source) + (f" ({one.model})" if one.model else "")
        fps = f"{one.health.fps:.1f}" if one.shot else ""
        table.add_row(one.options.name, source, one.size, fps, one.health.problem or "good")
    return table


def entry_of(one: Watched) -> dict[str, Any]:
    """Return a camera's entry of results.json."""
    return {
        "source": shown(one.options.source),
        "model": one.model,
        "size": None if one.shot is None else list(one.shot.image.shape[:2]),
        "health": one.health,
        "problem": one.health.problem,
        "picture": None if one.shot is None else f"{one.options.name}.png",
    }


def write_pictures(run: Path, watched: Sequence[Watched]) -> None:
    """Write one picture of each camera, and all side by side."""
    shots = [(one.options.name, one.shot) for one in watched if one.shot is not None]
    for name, shot in shots:
        (run / f"{name}.png").write_bytes(png.encode(shot.image))
    if shots:
        sheet = sheet_of([(name, shot.image) for name, shot in shots])
        (run / "contact-sheet.png").write_bytes(png.encode(sheet))


def sheet_of(pictures: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]]) -> np.ndarray:
    """Return named pictures side by side, COLUMNS in a row."""
    tiles = [write_on(fit(picture, size=TILE), name) for name, picture in pictures]
    return grid([tiles[k : k + COLUMNS] for k in range(0, len(tiles), COLUMNS)])


def no_display() -> str:
    """Return why nothing can be shown, "" where a display may exist."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "this computer has no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def view(streams: Sequence[OpenCVStream]) -> str:
    """Show the cameras until q, Esc or a closed window; return why that is impossible."""
    title = "cameras (q ends)"
    try:
        while streams:
            pictures = [(stream.options.name, stream.newest().image) for stream in streams]
            cv2.imshow(title, cv2.cvtColor(sheet_of(pictures), cv2.COLOR_RGB2BGR))
            if cv2.waitKey(30) & 0xFF in QUIT or not cv2.getWindowProperty(title, 4):
                break
        cv2.destroyAllWindows()
    except cv2.error as error:
        return f"OpenCV cannot open a window here ({error.err})"
    return ""
