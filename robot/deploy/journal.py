"""The running episode on disk, step by step: whatever ends the process, what was recorded is there.

A journal is a file of records, each with its length and a checksum; a reader stops at the first
that is not whole. `Journal` writes, `read_journal` makes an Episode of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from robot.data import png
from robot.data.summary import decode_region, encode_region
from robot.spaces import Spaces
from robot.types import Episode, Goal, Region

_RECORD = struct.Struct("<4sII")  # magic, length, CRC-32
_MAGIC = b"step"
_LARGEST = 1 << 28
_SYNC_EVERY = 20  # records: a power cut loses a second, a killed process nothing
SUFFIX = ".journal"


@dataclass(frozen=True)
class Header:
    """What is known of an episode when it begins."""

    index: int
    task: str
    goal: str
    scene: str
    seed: int
    spaces: Spaces
    extra: Mapping[str, str] = field(default_factory=dict)
    tier: str = "machine"  # "trusted" where a person demonstrates
    regions: tuple[Region, ...] = ()  # of the goal


@dataclass(frozen=True)
class Step:
    """One control step: what was seen, what was sent, and `columns` of single values. `labels` are
    the mask's, None where it is still the one before.
    """

    images: Mapping[str, UInt8[np.ndarray, "h w 3"]]
    proprio: Float32[np.ndarray, " s"]
    action: Float32[np.ndarray, " a"]
    columns: Mapping[str, float | int | bool]
    labels: Mapping[str, UInt8[np.ndarray, "h w"]] | None = None


class Journal:
    """Appends to one file, which is locked while it is open."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.header = path, header
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._written = 0
        content = {
            **vars(header),
            "spaces": header.spaces.to_json(),
            "extra": dict(header.extra),
            "regions": [encode_region(region) for region in header.regions],
        }
        self._append({"header": content}, [])

    def append(self, step: Step) -> None:
        """Write one step; it survives a kill of this process when this returns."""
        labels = step.labels or {}
        content = {
            "proprio": step.proprio.tolist(),
            "action": step.action.tolist(),
            "columns": {name: _plain(value) for name, value in step.columns.items()},
            "images": list(step.images),
            "labels": list(labels),
        }
        blobs = [png.encode(image) for image in (*step.images.values(), *labels.values())]
        self._append(content, blobs)

    def end(self, *, success: bool, extra: Mapping[str, str]) -> None:
        """Note how the episode ended, and close the file."""
        self._append({"end": {"success": success, "extra": dict(extra)}}, [])
        self.close()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, content: Mapping[str, Any], blobs: Sequence[bytes]) -> None:
        content = {**content, "sizes": [len(blob) for blob in blobs]}
        head = json.dumps(content, allow_nan=True).encode()
        payload = b"".join([struct.pack("<I", len(head)), head, *blobs])
        record = _RECORD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload
        rest = memoryview(record)
        while rest:  # a nearly full disk accepts part of a write before it says no
            rest = rest[os.write(self._file, rest) :]
        self._written += 1
        if self._written % _SYNC_EVERY == 0:
            os.fdatasync(self._file)


def read_journal(path: Path, *, extra: Mapping[str, str] | None = None) -> Episode | None:
    """Return the episode of a journal as far as it is whole; None where it has no step. `extra` is
    added where it has no end.
    """
    records = _records(path)
    first = next(records, None)
    if first is None or "header" not in first[0]:
        return None
    header = first[0]["header"]
    steps: list[tuple[dict[str, Any], list[bytes]]] = []
    end: dict[str, Any] = {"success": False, "extra": dict(extra or {})}
    for content, blobs in records:
        if "end" in content:
            end = content["end"]
        else:
            steps.append((content, blobs))
    if not steps:
        return None
    spaces = Spaces.from_json(header["spaces"])
    images, labels = _pictures(steps)
    return Episode(
        task=header["task"],
        goal=Goal(header["goal"], tuple(map(decode_region, header.get("regions", ())))),
        images=images,
        labels=labels,
        proprio=np.array([content["proprio"] for content, _ in steps], np.float32),
        actions=np.array([content["action"] for content, _ in steps], np.float32),
        spaces=spaces,
        control_dt_s=spaces.control_dt_s,
        success=bool(end["success"]),
        seed=header["seed"],
        index=header["index"],
        scene=header["scene"],
        tier=header["tier"],
        extra={**header["extra"], **end["extra"]},
        columns=_columns([content["columns"] for content, _ in steps]),
    )


def is_being_written(path: Path) -> bool:
    """Return whether a living process has the journal open."""
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _pictures(
    steps: Sequence[tuple[dict[str, Any], list[bytes]]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return frames and label maps by camera; a step without labels has those of the one before,
    and the first ones background.
    """
    cameras = steps[0][0]["images"]
    images = {
        camera: png.decode_all([blobs[k] for _, blobs in steps]) for k, camera in enumerate(cameras)
    }
    labels = {camera: np.zeros(frames.shape[:3], np.uint8) for camera, frames in images.items()}
    newest: dict[str, np.ndarray] = {}
    for step, (content, blobs) in enumerate(steps):
        masks = blobs[len(content["images"]) :]
        newest |= {
            camera: png.decode(blob) for camera, blob in zip(content["labels"], masks, strict=True)
        }
        for camera, mask in newest.items():
            labels[camera][step] = mask
    return images, labels


def _columns(rows: Sequence[Mapping[str, float | int | bool]]) -> dict[str, np.ndarray]:
    columns = {}
    for name, first in rows[0].items():
        dtype = bool if isinstance(first, bool) else np.int64 if isinstance(first, int) else "f8"
        columns[name] = np.array([row[name] for row in rows], dtype)
    return columns


def _records(path: Path) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Yield what is whole, from the beginning on."""
    with open(path, "rb") as file:
        while True:
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                return
            magic, length, checksum = _RECORD.unpack(head)
            if magic != _MAGIC or length > _LARGEST:
                return
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            yield _unpacked(payload)


def _unpacked(payload: bytes) -> tuple[dict[str, Any], list[bytes]]:
    (size,) = struct.unpack_from("<I", payload)
    content = json.loads(payload[4 : 4 + size])
    blobs, at = [], 4 + size
    for length in content["sizes"]:
        blobs.append(payload[at : at + length])
        at += length
    return content, blobs


def _plain(value: Any) -> float | int | bool:
    return value.item() if hasattr(value, "item") else value
