"""Scene graphs from annotation JSON in ProVision's published schema.

Every JSON file of a folder maps picture names to {"data_path", "annotation"}, and the annotations
of one name are merged: `bboxes` (xyxy), `labels`, `det_scores`, `attributes` (words per object),
`relations` ([head, name, tail]), `seg_mask_id` and `depth_mask_id` (arrays in seg_masks/ and
depth_masks/). Depth is as its depth estimator writes it: larger is nearer, without a unit. What is
not stated counts as false, as far as names occur in the picture at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robot.errors import InputError
from robot.instruct.graph import QUANTILES, Camera, Object, Relation, SceneGraph
from robot.instruct.relations import KINDS, in_picture
from robot.instruct.wording import vocabulary

STATED = "annotation"  # the frame of a relation that a person or a model wrote down
FAMILY = "annotations"


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture and its graph; the file may be missing, the graph needs none."""

    graph: SceneGraph
    picture: Path | None


def load_annotations(folder: Path) -> list[Annotated]:
    """Return all annotated pictures of a folder, by name."""
    merged: dict[str, dict[str, Any]] = {}
    paths: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for name, entry in content.items():
            if not isinstance(entry, dict) or not isinstance(entry.get("annotation"), dict):
                raise InputError(
                    f"got {path} whose entry {name!r} has no annotation, expected "
                    '{"data_path": ..., "annotation": {...}}; correct it'
                )
            merged.setdefault(name, {}).update(entry["annotation"])
            paths[name] = str(entry.get("data_path", ""))
    found = [name for name in sorted(merged) if "bboxes" in merged[name]]
    if not found:
        raise InputError(
            f"got {folder} without annotated boxes, expected JSON files with bboxes and labels; "
            "name the folder that holds them"
        )
    return [
        Annotated(
            graph=annotated_graph(merged[name], name=name, folder=folder),
            picture=_picture(folder, paths[name]),
        )
        for name in found
    ]


def annotated_graph(annotation: dict[str, Any], *, name: str, folder: Path) -> SceneGraph:
    """Return the graph of one merged annotation."""
    width, height = int(annotation["width"]), int(annotation["height"])
    count = len(annotation["bboxes"])
    if len(annotation["labels"]) != count:
        raise InputError(
            f"got {len(annotation['labels'])} labels for {count} boxes of {name}, expected as "
            "many; correct the annotation"
        )
    depth, masks = _depth(annotation, folder), _masks(annotation, folder)
    objects = tuple(_object(annotation, k, masks, depth, (height, width)) for k in range(count))
    stated = {(int(h), str(r), int(t)) for h, r, t in annotation.get("relations", ())}
    relations = [Relation(h, r, t, 1.0, "1", STATED) for h, r, t in sorted(stated)]
    denied = {
        (h, r, t)
        for r in {r for _, r, _ in stated}
        for h in range(count)
        for t in range(count)
        if h != t and (h, r, t) not in stated
    }
    for side, margin in in_picture(objects):
        if side in ("left", "right"):
            kind = KINDS[side]
            for h, t in np.argwhere(margin >= kind.epsilon).tolist():
                relations.append(Relation(h, side, t, float(margin[h, t]), kind.unit, kind.frame))
                denied.add((t, side, h))
    return SceneGraph(
        family=FAMILY,
        episode=name,
        frame=0,
        time_s=0.0,
        camera=Camera("picture", width, height),
        objects=objects,
        relations=tuple(relations),
        denied=frozenset(denied),
        depth_m=depth,
        metric=False,
        caption=annotation.get("caption"),
    )


def _object(
    annotation: dict[str, Any],
    k: int,
    masks: np.ndarray | None,
    depth: np.ndarray | None,
    size: tuple[int, int],
) -> Object:
    x0, y0, x1, y1 = (int(v) for v in annotation["bboxes"][k])
    box = max(0, x0), max(0, y0), min(size[1], x1), min(size[0], y1)
    mask = None if masks is None else masks[k].astype(bool)
    area = (box[2] - box[0]) * (box[3] - box[1])
    pixels = area if mask is None else int(mask.sum())
    values = None
    if depth is not None:
        inside = depth[mask] if mask is not None else depth[box[1] : box[3], box[0] : box[2]]
        if inside.size:
            values = tuple(float(q) for q in np.quantile(inside, QUANTILES))
    scores = annotation.get("det_scores")
    words = annotation["attributes"][k] if "attributes" in annotation else ()
    return Object(
        id=k,
        cls=str(annotation["labels"][k]),
        attributes=_typed(words),
        mask=mask,
        box=box,
        pixels=max(pixels, 0),
        depth_m=values,
        metric=False,
        confidence=1.0 if scores is None else float(scores[k]),
    )


def _typed(words) -> dict[str, tuple[str, ...]]:
    """Return attribute words by type; those of no known type are properties."""
    types = vocabulary()["attributes"]
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        kind = next((kind for kind, known in types.items() if word in known), "property")
        found[kind] = (*found.get(kind, ()), str(word))
    return found


def _depth(annotation: dict[str, Any], folder: Path) -> np.ndarray | None:
    """Return depth that grows with distance."""
    name = annotation.get("depth_mask_id")
    if not name or not (path := folder / "depth_masks" / str(name)).is_file():
        return None
    nearness = np.load(path, allow_pickle=False).astype(np.float32)
    return nearness.max() - nearness


def _masks(annotation: dict[str, Any], folder: Path) -> np.ndarray | None:
    """Return the masks (n, h, w); None where there are only boxes, or only a pickle."""
    name = str(annotation.get("seg_mask_id") or "")
    path = folder / "seg_masks" / (Path(name).stem + ".npy")
    return np.load(path, allow_pickle=False).astype(bool) if name and path.is_file() else None


def _picture(folder: Path, data_path: str) -> Path | None:
    path = folder / "images" / Path(data_path).name
    return path if data_path and path.is_file() else None
