"""ProVision's own single-image generators on our graphs: its checkout is imported from where it
lies, and nothing of it is part of this project.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from robot.instruct.graph import SceneGraph

MODULES = {  # of its package, with {our generator: its class}
    "object": {
        "count_objects": "ExistsObjectGenerator",
        "most_frequent": "MostObjectGenerator",
        "least_frequent": "LeastObjectGenerator",
        "leftmost": "LeftMostObjectGenerator",
        "rightmost": "RightMostObjectGenerator",
        "topmost": "TopMostObjectGenerator",
        "bottommost": "BottomMostObjectGenerator",
    },
    "attribute": {
        "count_attributed": "ExistsAttributeGenerator",
        "attributes_at_box": "AttributeBBoxGenerator",
        "typed_attribute_at_box": "TypedAttributeBBoxGenerator",
    },
    "relation": {
        "relation_between": "ExistsRelationGenerator",
        "relation_between_boxes": "RelationBBoxGenerator",
        "head_of_relation": "HeadRelationGenerator",
    },
    "segmentation": {
        "same_object_point": "SameObjectSegGenerator",
        "different_object_point": "DiffObjectSegGenerator",
    },
    "depth": {"closer_point": "CloserPointGenerator", "farther_point": "FartherPointGenerator"},
    "object_depth": {
        "closer_object": "CloserObjectGenerator",
        "farther_object": "FartherObjectGenerator",
        "closer_to_anchor": "CloserToAnchorObjectGenerator",
        "farther_from_anchor": "FartherToAnchorObjectGenerator",
    },
    "scene_graph": {
        "object_question": "SceneGraphObjectQAGenerator",
        "relation_question": "SceneGraphRelationQAGenerator",
        "attribute_question": "SceneGraphAttributeQAGenerator",
    },
}
REPEATS = 3


def their_rates(checkout: Path, episodes: list[list[list[SceneGraph]]]) -> dict[str, float]:
    """Return records per second of each of its generators that fires, over all frames."""
    sys.path.insert(0, str(checkout))
    warnings.simplefilter("ignore")
    data = importlib.import_module("provision.dataset")
    frames = [_annotation(data, g) for e in episodes for look in e for g in look]
    found = {}
    for name, cls in _classes():
        made = cls(
            dataset=SimpleNamespace(annotations=frames),
            return_templated=True,
            multi_choice_ratio=0.5,
        )
        rate = max(_rate(made, frames) for _ in range(REPEATS))
        if rate > 0:
            found[name] = rate
    return found


def _classes() -> Iterator[tuple[str, Any]]:
    for module, names in MODULES.items():
        package = importlib.import_module(f"provision.generators.single_image.{module}")
        for ours, theirs in names.items():
            yield ours, getattr(package, theirs)


def _rate(generator: Any, frames: list) -> float:
    records, begin = 0, time.process_time()
    for frame in frames:
        try:
            records += len(generator._generate(frame))
        except (ValueError, IndexError, KeyError):  # it raises where a frame offers too little
            continue
    return records / max(1e-9, time.process_time() - begin)


def _annotation(data: Any, graph: SceneGraph) -> Any:
    """Return a graph in its classes; masks and depth are in memory, so that nothing is read."""
    things = [o for o in graph.objects if o.box is not None and o.kind in ("object", "receptacle")]
    place = {o.id: k for k, o in enumerate(things)}
    assert graph.depth_m is not None
    depth = np.clip(255 / graph.depth_m, 0, 255)  # as its depth estimator: larger is nearer
    return data.JointAnnotation(
        bboxes=[list(o.box or ()) for o in things],
        labels=[o.cls for o in things],
        attributes=[sorted(o.words) for o in things],
        relations=[
            (place[r.head], r.name, place[r.tail])
            for r in graph.relations
            if r.head in place and r.tail in place and r.name in ("left", "front", "on", "near")
        ],
        det_scores=None,
        caption=None,
        depth=_in_memory(data.DepthMask, depth),
        segment=_in_memory(data.SegmentationMask, np.array([o.mask for o in things])),
        height=graph.camera.height,
        width=graph.camera.width,
    )


def _in_memory(cls: type, array: np.ndarray) -> Any:
    """Return its object whose array is at hand."""
    return type(cls.__name__, (cls,), {"mask": array})(mask_id="", dir_path="")
