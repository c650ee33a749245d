"""Frames with regions and the true answers to questions about them, as arrays in shards: what the
claim network learns from. `robot.rollout.claim_frames` writes them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, UInt8

from robot.data.atomic import write_bytes
from robot.types import InputError

UNKNOWN = -1


@dataclass(frozen=True)
class ClaimFrames:
    """F frames with R regions each, numbered answers (UNKNOWN where there is no sure one).

    `masks` are `packed`, at half the image's size. `objects` says which regions are objects as the
    simulator knows them; others are as a reader proposed them. Topics of one region are the
    columns of `answers`, those of two regions of `relations`, `counts` go by noun.
    """

    images: UInt8[np.ndarray, "f h w 3"]
    masks: UInt8[np.ndarray, "f r n"]
    valid: Bool[np.ndarray, "f r"]
    objects: Bool[np.ndarray, "f r"]
    answers: Int16[np.ndarray, "f r t"]
    relations: Int16[np.ndarray, "f r r k"]
    counts: Int16[np.ndarray, "f c"]
    reached: Int16[np.ndarray, " f"]
    goals: np.ndarray  # (F,) str

    def __len__(self) -> int:
        return len(self.images)

    def masks_of(self, frame: int) -> Bool[np.ndarray, "r h2 w2"]:
        """Return the masks of a frame's regions."""
        height, width = self.images.shape[1] // 2, self.images.shape[2] // 2
        bits = np.unpackbits(self.masks[frame], axis=1, count=height * width)
        return bits.reshape(-1, height, width).astype(bool)


def packed(masks: Bool[np.ndarray, "r h w"]) -> UInt8[np.ndarray, "r n"]:
    return np.packbits(masks.reshape(len(masks), -1), axis=1)


def save_claim_frames(path: Path, frames: ClaimFrames) -> None:
    """Write a shard; it is there and whole when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **{f.name: getattr(frames, f.name) for f in fields(frames)})
    write_bytes(path, buffer.getbuffer())


def load_claim_frames(folder: Path, *, shards: int) -> ClaimFrames:
    """Read the first shards of a folder. InputError where one is missing."""
    parts = []
    for number in range(shards):
        path = claim_frames_path(folder, number)
        if not path.is_file():
            raise InputError(f"got {folder} without {path.name}, expected {shards} shards; make it")
        with np.load(path, allow_pickle=False) as file:
            parts.append({f.name: file[f.name] for f in fields(ClaimFrames)})
    names = [f.name for f in fields(ClaimFrames)]
    return ClaimFrames(**{name: np.concatenate([p[name] for p in parts]) for name in names})


def claim_frames_path(folder: Path, number: int) -> Path:
    return folder / f"frames-{number:05d}.npz"
