"""Episode to Arrow tables and back, with the columns and types that LeRobotDataset v3 reads.

Label maps are a table of their own, kept outside of LeRobot's data/: it takes every image beside
the frames for one more camera, and would train on what only the simulator knows.

Source of the layout: huggingface/lerobot, src/lerobot/datasets (feature_utils.py, io_utils.py,
dataset_metadata.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from robot.data import png
from robot.data.statistics import Statistics, of_images, of_vectors
from robot.data.summary import EpisodeSummary, Placement, decode, encode, place, summarise
from robot.spaces import Vector
from robot.types import Episode

STATE, ACTION, IMAGES, LABELS = (
    "observation.state",
    "action",
    "observation.images.",
    "observation.masks.",
)
# of values per step that a recording adds; not "observation.", which LeRobot makes policy inputs of
RECORDING = "recording."
_PNG_STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # storage of datasets.Image
_SUMMARY = b"robot.episode"
_UNPLACED = Placement(episode_index=0, from_index=0, task_index=0)


def features(summary: EpisodeSummary) -> dict[str, dict]:
    """Return LeRobot's feature dictionary (meta/info.json) for episodes like this one."""

    def scalar(dtype):
        return {"dtype": dtype, "shape": [1], "names": None}

    def vector(space: Vector):
        return {"dtype": "float32", "shape": [len(space)], "names": list(space.names)}

    def image(shape):
        return {
            "dtype": "image",
            "shape": list(shape),
            "names": ["height", "width", "channels"],
        }

    return {
        STATE: vector(summary.spaces.state),
        ACTION: vector(summary.spaces.action),
        **{IMAGES + camera: image(shape) for camera, shape in summary.image_shapes.items()},
        "timestamp": scalar("float32"),
        "frame_index": scalar("int64"),
        "episode_index": scalar("int64"),
        "index": scalar("int64"),
        "task_index": scalar("int64"),
        "next.done": scalar("bool"),
        "next.success": scalar("bool"),
        **{RECORDING + name: scalar(dtype) for name, dtype in summary.columns.items()},
    }


def episode_to_table(episode: Episode) -> pa.Table:
    """Return the table of one episode without its label maps, its summary in the schema metadata.
    `table_to_episode` is the inverse, with `labels_to_table`.
    """
    summary = summarise(episode, statistics=_statistics(episode))
    steps = np.arange(len(episode))
    is_last = steps == len(episode) - 1
    columns = {
        STATE: _vectors(episode.proprio),
        ACTION: _vectors(episode.actions),
        **{IMAGES + camera: _pngs(images) for camera, images in episode.images.items()},
        "timestamp": pa.array((steps * episode.control_dt_s).astype(np.float32)),
        "frame_index": pa.array(steps),
        **_placement_columns(length=len(episode), placement=_UNPLACED),
        "next.done": pa.array(is_last),
        "next.success": pa.array(is_last & bool(episode.success)),
        **{RECORDING + name: pa.array(values) for name, values in episode.columns.items()},
    }
    assert list(features(summary)) == list(columns)
    return pa.table(columns).replace_schema_metadata(_metadata(summary))


def labels_to_table(episode: Episode) -> pa.Table | None:
    """Return the label maps of an episode, one column per camera; None where it has none."""
    columns = {LABELS + camera: _pngs(labels) for camera, labels in episode.labels.items()}
    return pa.table(columns) if columns else None


def holds_labels(schema: pa.Schema) -> bool:
    """Return whether label maps stand among an episode's own columns, as they did before they had
    a file of their own.
    """
    return any(name.startswith(LABELS) for name in schema.names)


def is_ours(metadata: Mapping[bytes, bytes] | None) -> bool:
    """Return whether a schema's metadata holds the summary of an episode that this package
    wrote.
    """
    return _SUMMARY in (metadata or {})


def table_to_episode(table: pa.Table, labels: pa.Table | None = None) -> Episode:
    """Invert `episode_to_table` and `labels_to_table`. Raises KeyError, TypeError or ValueError
    when the table is not one of an episode.
    """
    summary = read_summary(table.schema.metadata)
    label_table = table if labels is None else labels
    return Episode(
        task=summary.task,
        goal=summary.goal,
        images={camera: _images(table, IMAGES + camera) for camera in summary.image_shapes},
        labels={camera: _images(label_table, LABELS + camera) for camera in summary.label_shapes},
        proprio=_matrix(table, STATE),
        actions=_matrix(table, ACTION),
        spaces=summary.spaces,
        control_dt_s=summary.control_dt_s,
        success=summary.success,
        seed=summary.seed,
        index=summary.index,
        scene=summary.scene,
        tier=summary.tier,
        weight=summary.weight,
        extra=summary.extra,
        columns={
            name: table[RECORDING + name].combine_chunks().to_numpy(zero_copy_only=False).copy()
            for name in summary.columns
        },
    )


def read_summary(metadata: Mapping[bytes, bytes] | None) -> EpisodeSummary:
    """Read the summary out of a schema's metadata."""
    return decode((metadata or {})[_SUMMARY])


def place_table(table: pa.Table, placement: Placement) -> pa.Table:
    """Return the table with the columns that depend on the other episodes set; the images are not
    decoded.
    """
    for name, column in _placement_columns(length=len(table), placement=placement).items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table.replace_schema_metadata(
        _metadata(place(read_summary(table.schema.metadata), placement))
    )


def _placement_columns(*, length: int, placement: Placement) -> dict[str, pa.Array]:
    def constant(value):
        return pa.array(np.full(length, value, np.int64))

    return {
        "episode_index": constant(placement.episode_index),
        "index": pa.array(placement.from_index + np.arange(length)),
        "task_index": constant(placement.task_index),
    }


def _metadata(summary: EpisodeSummary) -> dict[bytes, bytes]:
    """Return the summary, and the feature types in Hugging Face's own spelling so that
    `load_dataset` shows pictures.
    """
    types = {name: _hugging_face_type(feature) for name, feature in features(summary).items()}
    return {
        _SUMMARY: encode(summary),
        b"huggingface": json.dumps({"info": {"features": types}}).encode(),
    }


def _hugging_face_type(feature: Mapping) -> dict:
    if feature["dtype"] == "image":
        return {"_type": "Image"}
    value = {"dtype": feature["dtype"], "_type": "Value"}
    return (
        value
        if feature["shape"] == [1]
        else {"feature": value, "length": feature["shape"][0], "_type": "Sequence"}
    )


def _statistics(episode: Episode) -> dict[str, Statistics]:
    return {
        STATE: of_vectors(episode.proprio),
        ACTION: of_vectors(episode.actions),
        **{IMAGES + camera: of_images(images) for camera, images in episode.images.items()},
    }


def _vectors(matrix: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(matrix, np.float32).ravel()), matrix.shape[1]
    )


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1).copy()


def _pngs(images: np.ndarray) -> pa.Array:
    contents = png.encode_all(images)
    return pa.array(
        [
            {"bytes": content, "path": f"frame-{step:06d}.png"}
            for step, content in enumerate(contents)
        ],
        type=_PNG_STRUCT,
    )


def _images(table: pa.Table, name: str) -> np.ndarray:
    return png.decode_all(table[name].combine_chunks().field("bytes").to_pylist())
