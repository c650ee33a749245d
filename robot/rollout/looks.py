"""One look at a simulator as labelled records, one per camera and goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from robot.data.mask_frames import MaskRecord
from robot.envs.simulated import SimulatedEnv
from robot.types import Label

VISIBLE_PIXELS = 6  # fewer than this is not there
GOLDEN_RATIO = 0.6180339887  # its multiples fill the unit interval evenly


def scene_of(k: int, shares: Mapping[str, float]) -> str:
    """Return the condition of scene number `k`: any run of numbers holds the conditions in their
    shares, almost exactly.
    """
    upto = np.cumsum(list(shares.values())) / sum(shares.values())
    return list(shares)[int(np.searchsorted(upto, k * GOLDEN_RATIO % 1.0, side="right"))]


def records_of_look(
    env: SimulatedEnv,
    *,
    named: Sequence[tuple[str, Mapping[str, Label]]],
    scene: str,
    seed: int,
) -> Iterator[MaskRecord]:
    """Yield a record for every camera and goal from one look at the current state; a goal is its
    sentence and the roles of the bodies that it names.
    """
    images = env.observe()["images"]
    labelled = env.label_maps_for([roles for _, roles in named])
    for (goal, _), maps in zip(named, labelled, strict=True):
        for camera in env.cameras:
            label = maps[camera]
            yield MaskRecord(
                image=images[camera],
                label=label,
                goal=goal,
                target_visible=int((label == Label.TARGET).sum()) >= VISIBLE_PIXELS,
                destination_visible=int((label == Label.DESTINATION).sum()) >= VISIBLE_PIXELS,
                camera=camera,
                scene=scene,
                seed=seed,
            )
