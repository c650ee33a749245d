"""Read a dataset that LeRobot (v3.0) recorded: any cameras, states and actions, images in Parquet
or in video files. Nothing in the folder is ever changed.

What episodes of this package have in their footers stands here in meta/: names, sizes and the frame
rate in info.json, the sentences in tasks.parquet, where every episode lies in episodes/. LeRobot
says neither units nor bounds, so that values have none; actions are taken as targets unless their
names begin with "delta".

Source of the layout: huggingface/lerobot, src/lerobot/datasets (dataset_metadata.py,
dataset_reader.py, io_utils.py), v3.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robot.data import png
from robot.data.parquet import explaining
from robot.data.summary import EpisodeSummary
from robot.data.table import ACTION, STATE
from robot.spaces import Camera, Spaces, Vector
from robot.types import Episode, Goal, InputError

VERSION = "v3.0"
UNKNOWN_UNIT = "unknown"
DELTA = "delta"  # with which the name of an action begins that is a change and not a target
_AGAIN = "copy the dataset again from where it came"
_IMAGE_PREFIXES = ("observation.images.", "observation.")


@dataclass(frozen=True)
class CameraFeature:
    """A camera of info.json: its key there, and whether its frames are in video files."""

    key: str
    camera: Camera
    is_video: bool


class LeRobotFolder:
    """Episodes of a LeRobotDataset v3 under their own numbers, as `EpisodeStore` gives its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def indices(self) -> set[int]:
        """Return the numbers of the episodes."""
        return set(self._rows)

    def path(self, index: int) -> Path | None:
        """Return the data file that holds an episode; None where there is no such episode."""
        row = self._rows.get(index)
        return None if row is None else self._file(self._info["data_path"], row, kind="data")

    def summary(self, index: int) -> EpisodeSummary:
        """Return all of an episode but its arrays."""
        return EpisodeSummary(
            **self._about(index),
            length=int(self._rows[index]["length"]),
            image_shapes={
                feature.camera.name: (feature.camera.height, feature.camera.width, 3)
                for feature in self.cameras
            },
            label_shapes={},
            statistics={},
        )

    def read(self, index: int) -> Episode:
        """Return one episode, without labels."""
        path = self.path(index)
        assert path is not None
        with explaining(path, remedy=_AGAIN):
            table = self._rows_of(path, index)
            return Episode(
                **self._about(index),
                images={
                    feature.camera.name: self._frames(feature, table, index=index)
                    for feature in self.cameras
                },
                labels={},
                proprio=_matrix(table, STATE),
                actions=_matrix(table, ACTION),
            )

    @cached_property
    def spaces(self) -> Spaces:
        """Return what info.json says of state, action and cameras."""
        return Spaces(
            state=self._vector(STATE, group="state"),
            action=self._vector(ACTION, group="action"),
            cameras=tuple(feature.camera for feature in self.cameras),
            control_dt_s=1 / float(self._info["fps"]),
            robot_type=str(self._info.get("robot_type") or "unknown"),
        )

    @cached_property
    def cameras(self) -> tuple[CameraFeature, ...]:
        """Return the colour cameras, in the order of info.json."""
        found = [
            CameraFeature(key, _camera(key, feature), feature["dtype"] == "video")
            for key, feature in self._info["features"].items()
            if feature.get("dtype") in ("image", "video") and _in_colour(feature)
        ]
        if not found:
            raise self._lacks("a camera (a feature of dtype image or video with three channels)")
        return tuple(found)

    @cached_property
    def _info(self) -> dict[str, Any]:
        path = self.root / "meta/info.json"
        with explaining(path, remedy=_AGAIN):
            info = json.loads(path.read_text(encoding="utf-8"))
            version = info.get("codebase_version")
            if version != VERSION:
                raise InputError(
                    f"got {self.root}, a LeRobot dataset of version {version}, expected {VERSION}: "
                    "convert a copy with the script that LeRobot has for it "
                    "(convert_dataset_v21_to_v30)"
                )
            for name in (STATE, ACTION):
                if name not in info["features"]:
                    raise self._lacks(f"the feature {name}")
            if not (float(info.get("fps") or 0) > 0):
                raise self._lacks("frames per second above 0 (fps)")
        return info

    @cached_property
    def _tasks(self) -> dict[int, str]:
        """Return the sentences by number."""
        path = self.root / "meta/tasks.parquet"
        if not path.is_file():
            return {}
        with explaining(path, remedy=_AGAIN):
            table = _read(path)
            # pandas names an index without a name so
            column = next(c for c in ("task", "__index_level_0__") if c in table.column_names)
            return dict(
                zip(table["task_index"].to_pylist(), table[column].to_pylist(), strict=True)
            )

    @cached_property
    def _rows(self) -> dict[int, dict[str, Any]]:
        """Return where every episode lies, by number."""
        files = sorted(self.root.glob("meta/episodes/*/*.parquet"))
        if not files:
            raise InputError(
                f"got no meta/episodes/ in {self.root}, expected the episodes' table of a "
                f"LeRobotDataset {VERSION}: {_AGAIN}"
            )
        rows = {}
        for path in files:
            with explaining(path, remedy=_AGAIN), pq.ParquetFile(path) as file:
                # the statistics, hundreds of columns, are not needed
                names = [n for n in file.schema_arrow.names if not n.startswith("stats/")]
                for row in file.read(columns=names).to_pylist():
                    rows[int(row["episode_index"])] = row
        return rows

    def _about(self, index: int) -> dict[str, Any]:
        """Return the fields that an episode and its summary share."""
        return {
            "task": self.root.name,
            "goal": Goal(self._sentence(index)),
            "spaces": self.spaces,
            "control_dt_s": self.spaces.control_dt_s,
            "success": True,  # LeRobot keeps demonstrations
            "seed": 0,
            "index": index,
            "scene": "recorded",
            "tier": "trusted",
            "weight": 1.0,
            "extra": {},
        }

    def _sentence(self, index: int) -> str:
        """Return the first task of an episode, by its row, or else by the number in its frames."""
        tasks = self._rows[index].get("tasks")
        if tasks is not None and len(tasks) and str(tasks[0]).strip():
            return str(tasks[0])
        path = self.path(index)
        assert path is not None
        with explaining(path, remedy=_AGAIN):
            numbers = self._rows_of(path, index, columns=["task_index"])["task_index"]
        sentence = self._tasks.get(numbers[0].as_py(), "")
        if not sentence.strip():
            raise self._lacks(
                f"a sentence for episode {index} (`tasks` in meta/episodes, or meta/tasks.parquet)"
            )
        return sentence

    def _rows_of(self, path: Path, index: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return an episode's frames out of a file of several episodes, in order."""
        needed = columns or [
            *(STATE, ACTION, "timestamp"),
            *(feature.key for feature in self.cameras if not feature.is_video),
        ]
        table = _read(path, columns=[*needed, "episode_index", "frame_index"])
        table = table.filter(pa.array(table["episode_index"].to_numpy() == index)).sort_by(
            "frame_index"
        )
        length = int(self._rows[index]["length"])
        if len(table) != length:
            raise ValueError(f"{len(table)} frames of episode {index} instead of {length}")
        return table

    def _frames(self, feature: CameraFeature, table: pa.Table, *, index: int) -> np.ndarray:
        """Return the frames (T, H, W, 3) of one camera."""
        if not feature.is_video:
            return np.stack([self._picture(cell) for cell in table[feature.key].to_pylist()])
        row = self._rows[index]
        path = self._file(self._info["video_path"], row, kind="videos", key=feature.key)
        if not path.is_file():
            raise InputError(
                f"got no video {path}, expected the frames of {feature.key} of episode {index}: "
                f"{_AGAIN}"
            )
        start_s = float(row[f"videos/{feature.key}/from_timestamp"])
        times_s = start_s + table["timestamp"].to_numpy().astype(np.float64).reshape(-1)
        with explaining(path, remedy=_AGAIN, kind="video"):
            return decode_at(path, times_s, tolerance_s=0.5 * self.spaces.control_dt_s)

    def _picture(self, cell: Mapping[str, Any]) -> np.ndarray:
        """Decode a cell of an image column: its bytes, or the file that it names."""
        content = cell["bytes"]
        if content is None:
            content = (self.root / cell["path"]).read_bytes()
        image = png.decode(content)
        return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image[..., :3]

    def _file(
        self, pattern: str, row: Mapping[str, Any], *, kind: str, key: str | None = None
    ) -> Path:
        place = kind if key is None else f"{kind}/{key}"
        return self.root / pattern.format(
            video_key=key,
            chunk_index=int(row[f"{place}/chunk_index"]),
            file_index=int(row[f"{place}/file_index"]),
        )

    def _vector(self, key: str, *, group: str) -> Vector:
        feature = self._info["features"][key]
        if len(feature["shape"]) != 1 or feature["shape"][0] < 1:
            raise self._lacks(f"one row of values in {key}, which has shape {feature['shape']}")
        names = _names(feature, key=group)
        return Vector(
            names=names,
            units=(UNKNOWN_UNIT,) * len(names),
            low=(-math.inf,) * len(names),
            high=(math.inf,) * len(names),
            groups=((group, len(names)),),
            relative=tuple(key == ACTION and name.startswith(DELTA) for name in names),
        )

    def _lacks(self, what: str) -> InputError:
        return InputError(
            f"got {self.root}, a LeRobot dataset without {what}, expected one to train on: record "
            "it, or choose another dataset"
        )


def decode_at(path: Path, times_s: np.ndarray, *, tolerance_s: float) -> np.ndarray:
    """Return the frames (T, H, W, 3) of a video that are nearest to ascending times. Raises
    ValueError where one is farther than `tolerance_s`.
    """
    import av  # our own datasets hold no videos: only their readers need a decoder

    images: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(int(max(0.0, times_s[0] - tolerance_s) / stream.time_base), stream=stream)
        for frame, time_s in _timed(container, stream):
            while len(images) < len(times_s) and abs(time_s - times_s[len(images)]) <= tolerance_s:
                images.append(frame.to_ndarray(format="rgb24"))
            if len(images) == len(times_s):
                return np.stack(images)
    raise ValueError(f"no frame at {times_s[len(images)]:.3f} s")


def _timed(container: Any, stream: Any) -> Iterator[tuple[Any, float]]:
    for frame in container.decode(stream):
        if frame.pts is not None:
            yield frame, float(frame.pts * stream.time_base)


def _read(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of numbers, or of lists of them, as float32 (T, D)."""
    return np.asarray(table[name].to_pylist(), np.float32).reshape(len(table), -1)


def _names(feature: Mapping[str, Any], *, key: str) -> tuple[str, ...]:
    """Return a name per value: info.json's own, as a list or a dictionary of lists, or numbers."""
    count, names = feature["shape"][0], feature.get("names")
    if isinstance(names, Mapping):
        names = [name for part in names.values() if isinstance(part, list) for name in part]
    if isinstance(names, list) and len({str(name) for name in names}) == len(names) == count:
        return tuple(str(name) for name in names)
    return tuple(f"{key}_{place}" for place in range(count))


def _camera(key: str, feature: Mapping[str, Any]) -> Camera:
    prefix = next((p for p in _IMAGE_PREFIXES if key.startswith(p)), "")
    height, width = _size(feature["shape"])
    return Camera(key.removeprefix(prefix), height=height, width=width)


def _size(shape: Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of channels last or first; `names` is not to be trusted here."""
    return (shape[0], shape[1]) if shape[2] == 3 else (shape[1], shape[2])


def _in_colour(feature: Mapping[str, Any]) -> bool:
    about = feature.get("info") or {}
    depth = about.get("is_depth_map") or about.get("video.is_depth_map")
    return (
        not depth and len(feature["shape"]) == 3 and 3 in (feature["shape"][0], feature["shape"][2])
    )
