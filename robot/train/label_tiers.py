"""Trusted and machine-labelled mask frames: some records keep the simulator's labels, of the others
a share gets faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool

from robot.data.mask_frames import MaskFrames
from robot.perception.head.label_faults import with_fault
from robot.system.parse import Count, FlatSpec, Share, options
from robot.train.options import Training
from robot.types import InputError, Label


@dataclass(frozen=True)
class Tiers:
    """F records; `trusted` are verified, the others a machine's; `faulty` is what only a simulation
    knows.
    """

    frames: MaskFrames
    trusted: Bool[np.ndarray, " f"]
    faulty: Bool[np.ndarray, " f"]


@options
class MaskWeighting:
    """How the labels of mask frames are weighted.

    "none": every label is the simulator's. Otherwise `trusted_share` of the records of every scene
    keep them, the others are a machine's, `fault_share` of which are wrong; "uniform" learns from
    all alike, "trusted_only" from the trusted, "dwsl" weighs each by a discriminator that is
    trained first. `witness_steps` are those of the head whose loss on every label the
    discriminator sees (None: it sees none).
    """

    kind: Literal["none", "uniform", "trusted_only", "dwsl"] = "none"
    trusted_share: float = 0.5
    fault_share: Share = 0.0
    witness_steps: Count | None = None
    discriminator: FlatSpec | None = None
    training: Training | None = None

    def __post_init__(self) -> None:
        if not 0 < self.trusted_share < 1:
            raise InputError(
                f"got trusted_share={self.trusted_share}, expected a share between 0 and 1: both "
                "tiers need records"
            )
        if self.kind == "dwsl" and (self.discriminator is None or self.training is None):
            raise InputError(
                "got mask_weighting.kind=dwsl without a discriminator or its training, expected "
                "both; pass mask_weighting=dwsl"
            )


def make_tiers(frames: MaskFrames, *, trusted_share: float, fault_share: float, seed: int) -> Tiers:
    """Split the looks, all cameras of one together, and corrupt the labels of `fault_share` of the
    machine's records. Frames that say which of them are trusted keep these tiers and their labels.

    The split is made within every scene, so that both tiers hold every domain: a discriminator that
    separated domains instead of good masks from bad ones would get nothing for it.
    """
    if frames.trusted is not None and not frames.trusted.all():
        return Tiers(frames=frames, trusted=frames.trusted, faulty=np.zeros(len(frames), bool))
    rng = np.random.default_rng([seed, 1])
    cameras = frames.cameras_per_look
    trusted = np.repeat(
        _first_share(np.array(frames.scenes)[::cameras], trusted_share, rng), cameras
    )
    faulty = ~trusted & (rng.random(len(frames)) < fault_share)
    labels, presence = frames.labels.copy(), frames.presence.copy()
    others = _labels_by_image(frames)
    for f in np.flatnonzero(faulty).tolist():
        labels[f] = with_fault(frames.labels[f], _other_label(frames, others, f, rng), rng)
        presence[f] = [(labels[f] == role).any() for role in (Label.TARGET, Label.DESTINATION)]
    return Tiers(
        frames=replace(frames, labels=labels, presence=presence), trusted=trusted, faulty=faulty
    )


def _first_share(
    scenes: np.ndarray, share: float, rng: np.random.Generator
) -> Bool[np.ndarray, " f"]:
    """Draw a share of the looks of every scene, at least one each."""
    drawn = np.zeros(len(scenes), bool)
    for scene in np.unique(scenes):
        members = rng.permutation(np.flatnonzero(scenes == scene))
        drawn[members[: max(1, round(share * len(members)))]] = True
    return drawn


def _labels_by_image(frames: MaskFrames) -> dict[int, np.ndarray]:
    order = np.argsort(frames.image_ids, kind="stable")
    ids, starts = np.unique(frames.image_ids[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))


def _other_label(
    frames: MaskFrames, by_image: Mapping[int, np.ndarray], f: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Return the label map of another goal about the same image that has a target elsewhere, or
    None.
    """
    mine = frames.labels[f] == Label.TARGET
    for k in rng.permutation(by_image[int(frames.image_ids[f])]):
        theirs = frames.labels[k] == Label.TARGET
        if theirs.any() and not (theirs & mine).any():
            return frames.labels[k]
    return None
