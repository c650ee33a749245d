"""What the reader says, as JSON: one object per region, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robot.data import rle
from robot.types import InputError, Region

if TYPE_CHECKING:
    from robot.perception.regions.readings import RegionReading

FIELDS = (
    "region_id",
    "granularity",
    "mask_rle",
    "box",
    "label",
    "attributes",
    "relations",
    "caption",
    "score",
)


def to_json(
    readings: Sequence[RegionReading], granularities: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return {region_id, granularity, mask_rle, box, label, attributes, relations, caption, score}
    of each region. `mask_rle` is COCO's, None for a region without a mask; `box` is (x0, y0, x1,
    y1) in pixels; the granularity, by index, is read off the words where it is not given.
    """
    given = granularities or {}
    return [
        {
            "region_id": reading.index,
            "granularity": given.get(reading.index, granularity_of(reading)),
            "mask_rle": None if reading.region.mask is None else rle.encode(reading.region.mask),
            "box": [float(v) for v in reading.region.bounds],
            "label": reading.label,
            "attributes": {kind: word for kind, word in reading.words.items() if word},
            "relations": [
                {"relation": r.relation, "region_id": r.other, "score": round(r.score, 4)}
                for r in reading.relations
            ],
            "caption": reading.caption,
            "score": round(reading.score, 4),
        }
        for reading in readings
    ]


def regions_from_json(items: Sequence[Mapping[str, Any]], *, camera: str) -> tuple[Region, ...]:
    """Return the regions of `to_json`, in one camera. InputError where a field is missing."""
    regions = []
    for item in items:
        if missing := [field for field in ("region_id", "box", "mask_rle") if field not in item]:
            raise InputError(
                f"got a region without {missing[0]}, expected {', '.join(FIELDS)}; write it with "
                "robot.perception.regions.export.to_json"
            )
        mask = None if item["mask_rle"] is None else rle.decode(item["mask_rle"])
        x0, y0, x1, y1 = (float(v) for v in item["box"])
        regions.append(Region(camera, box=(x0, y0, x1, y1), mask=mask, index=item["region_id"]))
    return tuple(regions)


def granularity_of(reading: RegionReading) -> str:
    """Return part, object or scene, as its words say."""
    from robot.perception.regions.vocabulary import vocabulary

    if reading.words["parts"] not in ("", "whole"):
        return "part"
    return "scene" if reading.words["names"] in vocabulary().scene_names else "object"
