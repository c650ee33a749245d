"""Records as rows of Parquet: what is stored, and in which columns. Masks are COCO run lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from robot.data.rle import Rle, encode
from robot.instruct.engine import Made
from robot.instruct.graph import SceneGraph
from robot.instruct.records import Dots, Shown, drawn

_MASK = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("generator", pa.string()),
        ("template", pa.int32()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("options", pa.list_(pa.string())),  # empty: a short answer
        ("slots", pa.string()),  # JSON: what fills the template
        ("family", pa.string()),
        ("episodes", pa.list_(pa.string())),  # one entry per image, as in all lists below
        ("frames", pa.list_(pa.int32())),
        ("times_s", pa.list_(pa.float64())),
        ("cameras", pa.list_(pa.string())),
        ("images", pa.list_(pa.string())),  # paths below the data set's folder
        ("answer_masks", pa.list_(_MASK)),
        ("relevance_masks", pa.list_(_MASK)),
        ("answer_boxes", pa.list_(pa.list_(pa.int32()))),  # of the whole mask; empty without one
        ("answer_points", pa.list_(pa.list_(pa.int32()))),  # (image, x, y)
        ("margin", pa.float64()),
        ("unit", pa.string()),
        ("tier", pa.string()),  # trusted: verified; machine: not
        ("verified", pa.bool_()),
        ("edit_log", pa.string()),  # JSON: what a corrector changed
        ("seed", pa.int64()),
        ("goal", pa.string()),
    ]
)


def image_path(graph: SceneGraph) -> str:
    """Return where the picture of a graph lies below the data set's folder."""
    return f"images/{graph.episode}/{graph.frame:05d}-{graph.camera.name}.png"


@dataclass
class Masks:
    """Encodes masks; the same things of the same frame only once."""

    _done: dict[tuple, tuple[Rle, list[int]]] = field(default_factory=dict)

    def of(self, graph: SceneGraph, ids: frozenset[int], dots: Dots) -> tuple[Rle, list[int]]:
        """Return the run lengths and the box [x0, y0, x1, y1] (empty where nothing is shown)."""
        key = (graph.episode, graph.frame, graph.camera.name, ids, dots)
        if key not in self._done:
            shown: Shown = tuple((0, i) for i in sorted(ids))
            mask = drawn(shown, dots, id_maps=[graph.id_map])[0]
            self._done[key] = encode(mask), _box(mask)
        return self._done[key]


def _box(mask: np.ndarray) -> list[int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return []
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def row_of(made: Made, *, id: str, seed: int, verified: bool, masks: Masks) -> dict:
    """Return a record as a row."""
    record, graphs = made.record, made.graphs
    answer = [
        masks.of(g, *_of_image(record.answer_mask, record.answer_points, k))
        for k, g in enumerate(graphs)
    ]
    needed = [
        masks.of(g, *_of_image(record.relevance_mask, record.answer_points, k))
        for k, g in enumerate(graphs)
    ]
    goal = graphs[0].goal
    return {
        "id": id,
        "generator": record.generator,
        "template": record.template,
        "question": record.question,
        "answer": record.answer,
        "options": record.options,
        "slots": json.dumps(dict(record.slots)),
        "family": graphs[0].family,
        "episodes": [g.episode for g in graphs],
        "frames": [g.frame for g in graphs],
        "times_s": [g.time_s for g in graphs],
        "cameras": [g.camera.name for g in graphs],
        "images": [image_path(g) for g in graphs],
        "answer_masks": [rle for rle, _ in answer],
        "relevance_masks": [rle for rle, _ in needed],
        "answer_boxes": [box for _, box in answer],
        "answer_points": record.answer_points,
        "margin": record.margin,
        "unit": record.unit,
        "tier": "trusted" if verified else "machine",
        "verified": verified,
        "edit_log": "[]",
        "seed": seed,
        "goal": "" if goal is None else goal.text,
    }


def _of_image(shown: Shown, dots: Dots, image: int) -> tuple[frozenset[int], Dots]:
    ids = frozenset(i for k, i in shown if k == image)
    return ids, tuple((0, x, y) for k, x, y in dots if k == image)


def table_of(rows: Sequence[dict]) -> pa.Table:
    """Return rows as a table; every column, in SCHEMA's order."""
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    return pa.table([pa.array(columns[f.name], type=f.type) for f in SCHEMA], schema=SCHEMA)
