"""What an episode must be to enter a dataset, checked before anything is written."""

from __future__ import annotations

import numpy as np

from robot.data.summary import EpisodeSummary
from robot.spaces import check_spaces
from robot.types import Episode, InputError


def check_episode(episode: Episode) -> None:
    """Refuse an episode that could not be read back as it is, or that would poison training."""
    name, steps = f"episode {episode.index}", len(episode)
    if steps == 0 or not episode.images:
        raise InputError(
            f"got {name} with {steps} steps and {len(episode.images)} cameras, expected at least 1 "
            "of each"
        )
    if episode.index < 0:
        raise InputError(
            f"got episode index {episode.index}, expected 0 or more: number the episodes from 0"
        )
    for key, values, width in (
        ("proprio", episode.proprio, len(episode.spaces.state)),
        ("actions", episode.actions, len(episode.spaces.action)),
    ):
        if values.shape != (steps, width) or values.dtype != np.float32:
            raise InputError(
                f"got {key} {values.dtype} {values.shape} in {name}, expected float32 ({steps}, "
                f"{width}): "
                "record one row per control step"
            )
        if not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise InputError(
                f"got a {key} that is not finite at step {step} of {name}, expected numbers: drop "
                "the episode"
            )
    for camera, images in episode.images.items():
        _check_pixels(
            images,
            name=f"images of camera {camera} in {name}",
            expected=f"({steps}, H, W, 3)",
            ndim=4,
            steps=steps,
        )
    for camera, labels in episode.labels.items():
        _check_pixels(
            labels,
            name=f"labels of camera {camera} in {name}",
            expected=f"({steps}, H, W)",
            ndim=3,
            steps=steps,
        )
    _check_against_spaces(episode, name=name)


def check_same_format(summary: EpisodeSummary, *, reference: EpisodeSummary) -> None:
    """Refuse an episode of other spaces (state, action, cameras, control period, robot) or other
    labels than those already stored.
    """
    check_spaces(
        reference.spaces,
        summary.spaces,
        what=f"episode {summary.index} beside episode {reference.index}",
        exact=True,
        remedy="One dataset has one format: write to another folder",
    )
    if summary.label_shapes != reference.label_shapes:
        raise InputError(
            f"got label_shapes {summary.label_shapes} in episode {summary.index}, expected "
            f"{reference.label_shapes} as in episode {reference.index}: one dataset has one "
            "format, so write to another folder"
        )


def _check_against_spaces(episode: Episode, *, name: str) -> None:
    """Refuse an episode whose cameras or period are not those that its spaces declare."""
    declared = {camera.name: (camera.height, camera.width) for camera in episode.spaces.cameras}
    recorded = {camera: images.shape[1:3] for camera, images in episode.images.items()}
    if list(declared.items()) != list(recorded.items()):
        raise InputError(
            f"got images {recorded} in {name}, expected {declared} as its spaces declare: record "
            "what the env shows"
        )
    if episode.control_dt_s != episode.spaces.control_dt_s:
        raise InputError(
            f"got control_dt_s {episode.control_dt_s} in {name}, expected "
            f"{episode.spaces.control_dt_s} as its spaces declare"
        )


def _check_pixels(pixels: np.ndarray, *, name: str, expected: str, ndim: int, steps: int) -> None:
    good = (
        pixels.ndim == ndim
        and len(pixels) == steps
        and pixels.dtype == np.uint8
        and (ndim == 3 or pixels.shape[-1] == 3)
    )
    if not good:
        raise InputError(
            f"got {pixels.dtype} {pixels.shape} for {name}, expected uint8 {expected}: one per "
            "control step"
        )
