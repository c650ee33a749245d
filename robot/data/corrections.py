"""What a person did inside a recorded episode, as demonstrations of their own: a trusted tier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from robot.types import Episode

CORRECTED = "is_correction"  # the column of a recording: a person moved the robot in this step
SHORTEST = 4  # control steps: what is shorter was hardly meant


def corrections_of(episode: Episode, *, first_index: int) -> list[Episode]:
    """Return every stretch of an episode that a person drove, as a trusted episode, numbered from
    `first_index` on.
    """
    corrected = episode.columns.get(CORRECTED)
    if corrected is None:
        return []
    found = [s for s in stretches(corrected) if s.stop - s.start >= SHORTEST]
    return [
        replace(
            episode,
            images={camera: frames[part] for camera, frames in episode.images.items()},
            labels={camera: labels[part] for camera, labels in episode.labels.items()},
            proprio=episode.proprio[part],
            actions=episode.actions[part],
            columns={name: values[part] for name, values in episode.columns.items()},
            index=first_index + k,
            tier="trusted",
            extra={
                **episode.extra,
                "correction_of": str(episode.index),
                "first_step": str(part.start),
            },
        )
        for k, part in enumerate(found)
    ]


def stretches(marked: Bool[np.ndarray, " t"]) -> Iterator[slice]:
    """Yield the slices of consecutive marked steps."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return (slice(int(a), int(b)) for a, b in edges.reshape(-1, 2))
