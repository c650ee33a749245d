"""What an episode file says in its footer: all of an Episode but its arrays, and its place in the
dataset.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from robot.data import png, statistics
from robot.data.statistics import Statistics
from robot.end_effector import panda_spaces
from robot.spaces import Camera, Spaces
from robot.types import Episode, Goal, Region


@dataclass(frozen=True)
class Placement:
    """Columns of LeRobot v3 that depend on the other episodes: set by `finalize`, None before."""

    episode_index: int  # rank among the stored episodes: LeRobot wants 0..n-1 without gaps
    from_index: int  # first frame in the whole dataset
    task_index: int


@dataclass(frozen=True)
class EpisodeSummary:
    """An episode without its arrays; reading one takes a footer, not the images."""

    task: str
    goal: Goal
    spaces: Spaces
    control_dt_s: float
    success: bool
    seed: int
    index: int
    scene: str
    tier: str
    weight: float
    extra: Mapping[str, str]
    length: int
    image_shapes: Mapping[str, tuple[int, ...]]  # (H, W, 3) per camera, in the episode's order
    label_shapes: Mapping[str, tuple[int, ...]]  # (H, W) per camera
    statistics: Mapping[str, Statistics] = field(repr=False)
    placement: Placement | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # name -> type of a value per step


def summarise(episode: Episode, *, statistics: Mapping[str, Statistics]) -> EpisodeSummary:
    """Return the summary of an episode; numpy scalars become plain numbers."""
    return EpisodeSummary(
        task=episode.task,
        goal=episode.goal,
        spaces=episode.spaces,
        control_dt_s=float(episode.control_dt_s),
        success=bool(episode.success),
        seed=int(episode.seed),
        index=int(episode.index),
        scene=episode.scene,
        tier=episode.tier,
        weight=float(episode.weight),
        extra=dict(episode.extra),
        length=len(episode),
        image_shapes={camera: images.shape[1:] for camera, images in episode.images.items()},
        label_shapes={camera: labels.shape[1:] for camera, labels in episode.labels.items()},
        statistics=statistics,
        columns={name: str(values.dtype) for name, values in episode.columns.items()},
    )


def encode(summary: EpisodeSummary) -> bytes:
    """Return the summary as JSON. `decode` is the inverse."""
    content = {
        **vars(summary),
        "goal": {
            "text": summary.goal.text,
            "regions": [encode_region(region) for region in summary.goal.regions],
        },
        "spaces": summary.spaces.to_json(),
        "statistics": {key: statistics.to_json(value) for key, value in summary.statistics.items()},
        "placement": None if summary.placement is None else vars(summary.placement),
    }
    return json.dumps(content, ensure_ascii=False).encode()


def decode(content: bytes) -> EpisodeSummary:
    """Invert `encode`. Raises KeyError, TypeError or ValueError on anything else."""
    fields = json.loads(content)
    regions = tuple(decode_region(region) for region in fields["goal"]["regions"])
    fields["goal"] = Goal(text=fields["goal"]["text"], regions=regions)
    fields["statistics"] = {
        key: statistics.from_json(value) for key, value in fields["statistics"].items()
    }
    fields["placement"] = None if fields["placement"] is None else Placement(**fields["placement"])
    for shapes in ("image_shapes", "label_shapes"):
        fields[shapes] = {camera: tuple(shape) for camera, shape in fields[shapes].items()}
    fields["spaces"] = (
        Spaces.from_json(fields["spaces"]) if "spaces" in fields else _before_spaces(fields)
    )
    return EpisodeSummary(**fields)


def _before_spaces(fields: Mapping) -> Spaces:
    """Return the spaces of an episode whose footer is from before they stood there."""
    cameras = [
        Camera(name, height=shape[0], width=shape[1])
        for name, shape in fields["image_shapes"].items()
    ]
    return panda_spaces(cameras=cameras, control_dt_s=fields["control_dt_s"])


def place(summary: EpisodeSummary, placement: Placement) -> EpisodeSummary:
    """Return the summary of the same episode at another place of the dataset."""
    return replace(summary, placement=placement)


def encode_region(region: Region) -> dict:
    """Return a region as JSON. Inverse: `decode_region`."""
    mask = (
        None
        if region.mask is None
        else base64.b64encode(png.encode(region.mask.astype(np.uint8))).decode()
    )
    return {
        "camera": region.camera,
        "box": None if region.box is None else list(region.box),
        "mask": mask,
        "click": None if region.click is None else list(region.click),
        "index": region.index,
    }


def decode_region(content: dict) -> Region:
    """Invert `encode_region`; files from before regions had an index lack the last two."""
    mask = (
        None
        if content["mask"] is None
        else png.decode(base64.b64decode(content["mask"])).astype(bool)
    )
    box, click = content["box"], content.get("click")
    return Region(
        camera=content["camera"],
        box=None if box is None else tuple(box),
        mask=mask,
        click=None if click is None else tuple(click),
        index=content.get("index", 1),
    )
