"""What an episode must be to enter a dataset, checked before anything is written."""

from __future__ import annotations

import math

import numpy as np

from robot.data.summary import EpisodeSummary
from robot.spaces import Vector, check_spaces
from robot.types import Episode, InputError, Label

TIERS = ("trusted", "machine")
COLUMN_TYPES = ("float32", "float64", "int64", "bool")
# How far beyond its declared bounds a value may lie, in half-ranges: room for noise and overshoot.
# What lies farther was never executed, and min-max normalisation would squeeze all the rest.
BEYOND_BOUNDS = 1.0
LARGEST_UNBOUNDED = 1e6  # of a value without bounds: no state or action in SI units comes near it


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
    _check_fields(episode, name=name)
    for key, values, space in (
        ("proprio", episode.proprio, episode.spaces.state),
        ("actions", episode.actions, episode.spaces.action),
    ):
        width = len(space)
        if values.shape != (steps, width) or values.dtype != np.float32:
            raise InputError(
                f"got {key} {values.dtype} {values.shape} in {name}, expected float32 ({steps}, "
                f"{width}): "
                "record one row per control step"
            )
        if not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise InputError(
                f"got {key} with a value that is not finite at step {step} of {name}, expected "
                "numbers: drop the episode"
            )
        _check_bounds(values, space, name=name)
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
    _check_labels(episode, name=name)
    _check_columns(episode, name=name)
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
    if summary.columns != reference.columns:
        raise InputError(
            f"got the columns {dict(summary.columns)} in episode {summary.index}, expected "
            f"{dict(reference.columns)} as in episode {reference.index}: one dataset has one "
            "format, so write to another folder"
        )


def _check_fields(episode: Episode, *, name: str) -> None:
    """Refuse an empty goal, a control period or weight that is not a number of its range, and an
    unknown tier.
    """
    if not episode.goal.text.strip():
        raise InputError(
            f"got an empty goal in {name}, expected a sentence: say what the episode shows, for "
            "example Goal('lift the red cube')"
        )
    if not (math.isfinite(episode.control_dt_s) and episode.control_dt_s > 0):
        raise InputError(
            f"got control_dt_s {episode.control_dt_s} in {name}, expected seconds above 0: pass "
            "the time between two actions, for example 0.05"
        )
    if not (math.isfinite(episode.weight) and episode.weight >= 0):
        raise InputError(
            f"got weight {episode.weight} in {name}, expected a finite number >= 0: pass 1.0 for "
            "an ordinary demonstration"
        )
    if episode.tier not in TIERS:
        raise InputError(
            f"got tier {episode.tier!r} in {name}, expected one of {', '.join(TIERS)}: pass "
            "trusted for a verified demonstration"
        )
    if strange := [r.camera for r in episode.goal.regions if r.camera not in episode.images]:
        raise InputError(
            f"got regions of the goal in cameras {strange} of {name}, expected some of "
            f"{list(episode.images)}: name the cameras that were recorded"
        )


def _check_bounds(values: np.ndarray, space: Vector, *, name: str) -> None:
    """Refuse values far outside of the bounds that the spaces declare."""
    low, high = (np.array(bound, np.float64) for bound in (space.low, space.high))
    bounded = np.isfinite(low) & np.isfinite(high)
    low = np.where(bounded, low, -LARGEST_UNBOUNDED)
    high = np.where(bounded, high, LARGEST_UNBOUNDED)
    margin = np.where(bounded, BEYOND_BOUNDS * (high - low) / 2, 0.0)
    far = (values < low - margin) | (values > high + margin)
    if far.any():
        step, column = np.argwhere(far)[0]
        value_name, unit = space.names[column], space.units[column]
        raise InputError(
            f"got {value_name} {values[step, column]:g} {unit} at step {step} of {name}, expected "
            f"{low[column]:g} to {high[column]:g}: check its unit, or drop the episode"
        )


def _check_labels(episode: Episode, *, name: str) -> None:
    """Refuse label maps of cameras, sizes or values that the frames do not have."""
    if unknown := [camera for camera in episode.labels if camera not in episode.images]:
        raise InputError(
            f"got labels of cameras {unknown} in {name}, expected some of {list(episode.images)}: "
            "label the frames that were recorded"
        )
    largest = max(Label)
    for camera, labels in episode.labels.items():
        size = episode.images[camera].shape[1:3]
        if labels.shape[1:] != size:
            raise InputError(
                f"got labels of {labels.shape[2]}x{labels.shape[1]} px for camera {camera} in "
                f"{name}, expected {size[1]}x{size[0]} px as its images: one label per pixel"
            )
        if labels.max(initial=0) > largest:
            raise InputError(
                f"got label {labels.max()} for camera {camera} in {name}, expected 0 to "
                f"{largest.value} ({', '.join(f'{r.value} {r.name.lower()}' for r in Label)})"
            )


def _check_columns(episode: Episode, *, name: str) -> None:
    """Refuse columns of other types than a table has, or of other lengths."""
    for key, values in episode.columns.items():
        if values.shape != (len(episode),) or str(values.dtype) not in COLUMN_TYPES:
            raise InputError(
                f"got column {key} {values.dtype} {values.shape} in {name}, expected "
                f"({len(episode)},) of {', '.join(COLUMN_TYPES)}: one value per control step"
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
