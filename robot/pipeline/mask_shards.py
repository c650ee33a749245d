"""Which shards of mask frames are learned from, and which are held out for calibration and measurement."""

from __future__ import annotations

from robot.data.mask_frames import MaskFrameStore

HELD_OUT_SHARDS = 2  # the last ones


def split_shards(store: MaskFrameStore) -> tuple[list[int], list[int]]:
    """Return (learned, held out); a store of one or two shards is both."""
    shards = store.shards()
    held_out = shards[-HELD_OUT_SHARDS:] if len(shards) > HELD_OUT_SHARDS else shards
    return [s for s in shards if s not in held_out] or shards, held_out
