"""Looks at scenes whose every object is known, on disk in shards: what heads that follow, segment
and name regions learn from.

    looks = SceneLookStore(folder).load()
    looks.images[5]                     # (cameras, H, W, 3) uint8
    looks.instances[5] == 2 + k         # pixels of looks.objects[5][k], in every camera
    looks.sequences[5], looks.steps[5]  # which scene, and which of its looks: objects keep names

`robot.rollout.scene_looks` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, UInt8

from robot.data import png
from robot.data.atomic import remove_stale
from robot.data.parquet import explaining, read_table, write_table
from robot.types import InputError

NOTHING, GRIPPER, FIRST_OBJECT = 0, 1, 2  # values of an instance map
_SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.binary())),
        ("instances", pa.list_(pa.binary())),
        ("parts", pa.list_(pa.binary())),
        ("objects", pa.string()),
        ("cameras", pa.list_(pa.string())),
        ("scene", pa.string()),
        ("moment", pa.string()),
        ("sequence", pa.int64()),
        ("step", pa.int32()),
    ]
)


@dataclass(frozen=True)
class SeenObject:
    """One object of a look. `body` is its name in all looks of a sequence; `shape` and `colour` are
    those of the catalogue, `colour` None where no name fits; `rgb` 0..1 is what it is painted in,
    None for a mesh's own texture. `radius_m` and `height_m` are its size, `position_m` and
    `quaternion` (w, x, y, z) its pose in the world; `role` is "target", "destination" or "".
    """

    body: str
    shape: str
    colour: str | None
    rgb: tuple[float, float, float] | None
    radius_m: float
    height_m: float
    position_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    role: str = ""
    held: bool = False
    patterned: bool = False


@dataclass(frozen=True)
class SceneLook:
    """All cameras' frames at one moment. `instances` hold NOTHING, GRIPPER or FIRST_OBJECT + k for
    objects[k]; `parts` number the parts of each object from 1 (a pan's handle, a duck's beak), 0
    elsewhere.
    """

    images: UInt8[np.ndarray, "c h w 3"]
    instances: UInt8[np.ndarray, "c h w"]
    parts: UInt8[np.ndarray, "c h w"]
    objects: tuple[SeenObject, ...]
    cameras: tuple[str, ...]
    scene: str
    moment: str
    sequence: int
    step: int


@dataclass(frozen=True)
class SceneLooks:
    """L looks in memory, those of a sequence side by side in order."""

    images: UInt8[np.ndarray, "l c h w 3"]
    instances: UInt8[np.ndarray, "l c h w"]
    parts: UInt8[np.ndarray, "l c h w"]
    objects: tuple[tuple[SeenObject, ...], ...]
    cameras: tuple[str, ...]
    scenes: tuple[str, ...]
    moments: tuple[str, ...]
    sequences: Int[np.ndarray, " l"]
    steps: Int[np.ndarray, " l"]

    def __len__(self) -> int:
        return len(self.images)


class SceneLookStore:
    """Shards of looks in one folder, numbered by whoever makes them."""

    def __init__(self, root: Path) -> None:
        """Open a folder, existing or not, and remove what killed writers left in it."""
        self.root = Path(root)
        remove_stale(self.root)

    def append_shard(self, index: int, looks: Sequence[SceneLook]) -> None:
        """Write one shard; it is there, whole and on the disk, when this returns."""
        if index in self.shards():
            raise InputError(f"got shard {index}, expected one that {self.root} lacks")
        rows = [
            {
                **vars(look),
                **{
                    name: png.encode_all(getattr(look, name))
                    for name in ("images", "instances", "parts")
                },
                "objects": json.dumps([asdict(o) for o in look.objects]),
                "cameras": list(look.cameras),
            }
            for look in looks
        ]
        write_table(self._path(index), pa.Table.from_pylist(rows, schema=_SCHEMA))

    def shards(self) -> list[int]:
        """Return the indices of the stored shards, sorted."""
        matches = (
            re.fullmatch(r"looks-(\d+)\.parquet", path.name)
            for path in self.root.glob("looks-*.parquet")
        )
        return sorted(int(match[1]) for match in matches if match)

    def load(self, *, shards: Sequence[int] | None = None) -> SceneLooks:
        """Read shards (all by default) into memory."""
        chosen = self.shards() if shards is None else list(shards)
        if not chosen:
            raise InputError(
                f"got no shards of looks in {self.root}, expected at least one; make them with "
                "robot.rollout.scene_looks"
            )
        parts = [self._read(index) for index in chosen]
        arrays: dict[str, Any] = {
            name: np.concatenate([part[name] for part in parts])
            for name in ("images", "instances", "parts", "sequences", "steps")
        }
        lists: dict[str, Any] = {
            name: tuple(value for part in parts for value in part[name])
            for name in ("objects", "scenes", "moments")
        }
        return SceneLooks(**arrays, **lists, cameras=parts[0]["cameras"])

    def _read(self, index: int) -> dict:
        remedy = f"delete it and make shard {index} again"
        with explaining(self._path(index), remedy=remedy):
            table = read_table(self._path(index)).to_pylist()
            return {
                **{
                    name: np.stack([png.decode_all(row[name]) for row in table])
                    for name in ("images", "instances", "parts")
                },
                "objects": [_objects(row["objects"]) for row in table],
                "cameras": tuple(table[0]["cameras"]),
                "scenes": [row["scene"] for row in table],
                "moments": [row["moment"] for row in table],
                "sequences": np.array([row["sequence"] for row in table]),
                "steps": np.array([row["step"] for row in table]),
            }

    def _path(self, index: int) -> Path:
        return self.root / f"looks-{index:05d}.parquet"


def _objects(content: str) -> tuple[SeenObject, ...]:
    def of(fields: dict[str, Any]) -> SeenObject:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return SeenObject(**values)

    return tuple(of(fields) for fields in json.loads(content))
