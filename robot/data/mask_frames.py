"""Frames that train the mask head, on disk in shards: a shard is one Parquet file of PNGs, written
atomically.

A generator numbers its shards; after a kill it asks `missing` which are still to be made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, UInt8

from robot.data import png
from robot.data.atomic import remove_stale
from robot.data.parquet import explaining, read_table, write_table
from robot.spaces import Camera
from robot.types import InputError, Label

_PRESENCE = ("target_visible", "destination_visible")
_SCHEMA = pa.schema(
    [
        ("image", pa.binary()),  # null where an earlier record has it:
        ("image_of", pa.int32()),  # the record of this shard whose image it is
        ("label", pa.binary()),
        ("goal", pa.string()),
        *((name, pa.bool_()) for name in _PRESENCE),
        ("camera", pa.string()),
        ("scene", pa.string()),
        ("seed", pa.int64()),
    ]
)


@dataclass(frozen=True)
class MaskRecord:
    """One labelled frame and a goal that may or may not be about what it shows."""

    image: UInt8[np.ndarray, "h w 3"]
    label: UInt8[np.ndarray, "h w"]
    goal: str
    target_visible: bool
    destination_visible: bool
    camera: str
    scene: str
    seed: int


@dataclass(frozen=True)
class MaskFrames:
    """F records in memory. Record f shows `images[image_ids[f]]` (goals of one look share it) and
    is about the sentence `goals[goal_ids[f]]`; `presence` is (target, destination) visible.
    `trusted` says whose labels are verified; None: whoever labelled them says nothing of it.
    """

    images: UInt8[np.ndarray, "i h w 3"]
    image_ids: Int[np.ndarray, " f"]
    labels: UInt8[np.ndarray, "f h w"]
    presence: Bool[np.ndarray, "f 2"]
    goal_ids: Int[np.ndarray, " f"]
    goals: tuple[str, ...]
    cameras: tuple[str, ...]
    scenes: tuple[str, ...]
    seeds: Int[np.ndarray, " f"]
    trusted: Bool[np.ndarray, " f"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def cameras_per_look(self) -> int:
        """How many cameras lie side by side in every look; 1 where they do not."""
        count = len(set(self.cameras)) or 1
        looks = [self.cameras[k : k + count] for k in range(0, len(self.cameras), count)]
        return count if all(look == self.cameras[:count] for look in looks) else 1

    @property
    def camera_spaces(self) -> tuple[Camera, ...]:
        """Return the cameras in the order in which they first appear, which is that of a look."""
        height, width = self.images.shape[1:3]
        return tuple(Camera(name, height, width) for name in dict.fromkeys(self.cameras))

    def looks(self, *, cameras: int) -> Int[np.ndarray, "l cameras"]:
        """Return the records of every look, or refuse frames that were not seen by as many cameras;
        1 camera sees any.
        """
        if cameras not in (1, self.cameras_per_look):
            raise InputError(
                f"got mask frames of {sorted(set(self.cameras))} for a head of {cameras} cameras, "
                "expected each of them in "
                "every look, side by side; set mask_head.cameras or render the frames again"
            )
        return np.arange(len(self)).reshape(-1, cameras)

    def select(self, indices: Int[np.ndarray, " b"]) -> MaskFrames:
        """Return some of the records; images and goals are shared with this object."""
        return replace(
            self,
            image_ids=self.image_ids[indices],
            labels=self.labels[indices],
            presence=self.presence[indices],
            goal_ids=self.goal_ids[indices],
            cameras=tuple(self.cameras[k] for k in indices),
            scenes=tuple(self.scenes[k] for k in indices),
            seeds=self.seeds[indices],
            trusted=None if self.trusted is None else self.trusted[indices],
        )


class MaskFrameStore:
    """Shards of mask-training frames in one folder."""

    def __init__(self, root: Path) -> None:
        """Open a folder, existing or not, and remove what killed writers left in it."""
        self.root = Path(root)
        remove_stale(self.root)

    def append_shard(self, index: int, records: Sequence[MaskRecord]) -> None:
        """Write one shard; it is there, whole and on the disk, when this returns. Refuses an index
        that is taken.
        """
        if index in self.shards():
            raise InputError(
                f"got shard {index}, expected one that {self.root} lacks: see `missing`"
            )
        for record in records:
            _check(record)
        if len({record.image.shape for record in records}) != 1:
            raise InputError(
                f"got {len(records)} records for shard {index}, expected at least one, all of one "
                "image size"
            )
        first = {}  # by identity: goals of one look hold the same array
        for k, record in enumerate(records):
            first.setdefault(id(record.image), k)
        owner = [first[id(record.image)] for record in records]
        rows = [
            {
                **vars(r),
                "image": png.encode(r.image) if o == k else None,
                "image_of": o,
                "label": png.encode(r.label),
            }
            for k, (r, o) in enumerate(zip(records, owner, strict=True))
        ]
        write_table(self._path(index), pa.Table.from_pylist(rows, schema=_SCHEMA))

    def shards(self) -> list[int]:
        """Return the indices of the stored shards, sorted."""
        matches = (
            re.fullmatch(r"shard-(\d+)\.parquet", path.name)
            for path in self.root.glob("shard-*.parquet")
        )
        return sorted(int(match[1]) for match in matches if match)

    def missing(self, shards: Iterable[int]) -> list[int]:
        """Return those of the shards that are still to be made."""
        return sorted(set(shards) - set(self.shards()))

    def load(
        self,
        *,
        shards: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> MaskFrames:
        """Read shards (all by default) into memory as uint8; `progress` hears (shards done, shards
        in all).
        """
        chosen = self.shards() if shards is None else list(shards)
        if not chosen:
            raise InputError(
                f"got no shards in {self.root}, expected at least one: generate mask frames first"
            )
        columns, images, image_ids, labels = [], [], [], []
        for done, index in enumerate(chosen, start=1):
            with explaining(
                self._path(index),
                remedy=f"delete it and generate shard {index} again (`missing` will name it)",
            ):
                shard = read_table(self._path(index))
                offset = sum(map(len, images))
                images.append(png.decode_all(shard["image"].drop_null().to_pylist()))
                owners = shard["image_of"].to_numpy()
                image_ids.append(
                    offset + np.unique(owners, return_inverse=True)[1]
                )  # images lie in the order of their owners
                labels.append(png.decode_all(shard["label"].to_pylist()))
                columns.append(shard.drop_columns(["image", "image_of", "label"]))
            size, expected = images[-1].shape[1:], images[0].shape[1:]
            if size != expected:
                raise InputError(
                    f"got images {size} in shard {index}, expected {expected} as in shard "
                    f"{chosen[0]}: "
                    "one folder has one image size, so generate them again into another folder"
                )
            if progress is not None:
                progress(done, len(chosen))
        return _in_memory(
            pa.concat_tables(columns),
            images=np.concatenate(images),
            image_ids=np.concatenate(image_ids),
            labels=np.concatenate(labels),
        )

    def _path(self, index: int) -> Path:
        return self.root / f"shard-{index:05d}.parquet"


def _in_memory(
    columns: pa.Table, *, images: np.ndarray, image_ids: np.ndarray, labels: np.ndarray
) -> MaskFrames:
    sentences = columns["goal"].to_pylist()
    number = {sentence: index for index, sentence in enumerate(dict.fromkeys(sentences))}
    return MaskFrames(
        images=images,
        image_ids=image_ids,
        labels=labels,
        presence=np.stack([columns[name].to_numpy() for name in _PRESENCE], axis=1),
        goal_ids=np.array([number[sentence] for sentence in sentences]),
        goals=tuple(number),
        cameras=tuple(columns["camera"].to_pylist()),
        scenes=tuple(columns["scene"].to_pylist()),
        seeds=columns["seed"].to_numpy(),
    )


def in_memory(
    records: Sequence[MaskRecord], *, trusted: Bool[np.ndarray, " f"] | None = None
) -> MaskFrames:
    """Return records as MaskFrames; an array that several share is kept once."""
    first: dict[int, int] = {}  # by identity
    for record in records:
        first.setdefault(id(record.image), len(first))
    images = {id(record.image): record.image for record in records}
    number = {goal: k for k, goal in enumerate(dict.fromkeys(r.goal for r in records))}
    return MaskFrames(
        images=np.stack(list(images.values())),
        image_ids=np.array([first[id(r.image)] for r in records]),
        labels=np.stack([r.label for r in records]),
        presence=np.array([[r.target_visible, r.destination_visible] for r in records]),
        goal_ids=np.array([number[r.goal] for r in records]),
        goals=tuple(number),
        cameras=tuple(r.camera for r in records),
        scenes=tuple(r.scene for r in records),
        seeds=np.array([r.seed for r in records]),
        trusted=trusted,
    )


def joined(one: MaskFrames, other: MaskFrames) -> MaskFrames:
    """Return the records of both; those that say nothing of trust are the simulator's own."""
    goals = tuple(dict.fromkeys((*one.goals, *other.goals)))
    number = {goal: k for k, goal in enumerate(goals)}

    def goal_ids(frames: MaskFrames) -> np.ndarray:
        return np.array([number[goal] for goal in frames.goals])[frames.goal_ids]

    def trusted(frames: MaskFrames) -> np.ndarray:
        return np.ones(len(frames), bool) if frames.trusted is None else frames.trusted

    return MaskFrames(
        images=np.concatenate([one.images, other.images]),
        image_ids=np.concatenate([one.image_ids, other.image_ids + len(one.images)]),
        labels=np.concatenate([one.labels, other.labels]),
        presence=np.concatenate([one.presence, other.presence]),
        goal_ids=np.concatenate([goal_ids(one), goal_ids(other)]),
        goals=goals,
        cameras=one.cameras + other.cameras,
        scenes=one.scenes + other.scenes,
        seeds=np.concatenate([one.seeds, other.seeds]),
        trusted=np.concatenate([trusted(one), trusted(other)]),
    )


def _check(record: MaskRecord) -> None:
    image, label = record.image, record.label
    if image.dtype != np.uint8 or label.dtype != np.uint8 or image.shape != (*label.shape, 3):
        raise InputError(
            f"got image {image.dtype} {image.shape} with label {label.dtype} {label.shape}, "
            "expected uint8 (H, W, 3) "
            "and (H, W): render both at one size"
        )
    if label.max() > max(Label):
        raise InputError(
            f"got label {label.max()}, expected a value of robot.types.Label, at most "
            f"{int(max(Label))}"
        )
