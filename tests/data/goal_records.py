"""Records of the data engine on disk, as few and small as tests can do with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from robot.data import png, rle
from robot.data.parquet import write_table

CAMERAS = ("agentview", "wrist")


def picture(value: int, side: int) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def mask(rows: slice, side: int) -> np.ndarray:
    drawn = np.zeros((side, side), bool)
    drawn[rows, 2:8] = True
    return drawn


def row(side: int, **change) -> dict:
    """Return a goal seen by both cameras, the wrist's picture first; only agentview sees something:
    the target in rows 0 to 3, the hand in rows 8 and 9.
    """
    target, hand, nothing = (mask(slice(*r), side) for r in ((0, 4), (8, 10), (0, 0)))
    return {
        "slots": json.dumps({"goal": "take the leftmost cup"}),
        "family": "tabletop",
        "episodes": ["e", "e"],
        "frames": [0, 0],
        "cameras": ["wrist", "agentview"],
        "images": ["images/wrist.png", "images/agentview.png"],
        "answer_masks": [rle.encode(nothing), rle.encode(target)],
        "relevance_masks": [rle.encode(nothing), rle.encode(target | hand)],
        "tier": "trusted",
        "seed": 5,
    } | change


def write_goals(root: Path, *, side: int) -> Path:
    """Write a trusted goal, the same of the machine tier, and three records that are no goals of a
    look; agentview's picture is 0 all over, the wrist's 1.
    """
    rows = [
        row(side),
        row(side, tier="machine"),
        row(side, slots=json.dumps({"object": "red cup"})),
        row(side, frames=[0, 1]),  # of two moments
        row(side, cameras=["wrist", "side"]),
    ]
    write_table(root / "records" / "00000.parquet", pa.Table.from_pylist(rows))
    (root / "images").mkdir()
    for value, camera in enumerate(CAMERAS):
        (root / "images" / f"{camera}.png").write_bytes(png.encode(picture(value, side)))
    return root
