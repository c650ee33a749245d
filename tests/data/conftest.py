import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot.data.lerobot_meta import data_path
from robot.data.parquet import write_table
from robot.data.statistics import QUANTILES
from robot.data.table import episode_to_table, labels_to_table
from robot.types import Episode, Goal
from tests.robots import other_arm, panda

MakeEpisode = Callable[..., Episode]


def _with_unchecked(episode: Episode, **changes) -> Episode:
    """Replace fields past the type checks that only tests run: what a user's own recorder may well
    pass.
    """
    broken = copy.copy(episode)
    for name, value in changes.items():
        object.__setattr__(broken, name, value)
    return broken


@pytest.fixture
def with_unchecked() -> MakeEpisode:
    return _with_unchecked


def _episode(
    *, index: int = 0, steps: int = 4, text: str = "put the red cube on the plate", **changes
) -> Episode:
    """An episode of random pixels, 12x16, two cameras; the same index gives the same episode."""
    rng = np.random.default_rng(index)

    def pixels(high, *shape):
        return rng.integers(0, high, (steps, 12, 16, *shape), dtype=np.uint8)

    episode = Episode(
        task="pick_place",
        goal=Goal(text),
        images={"agentview": pixels(256, 3), "wrist": pixels(256, 3)},
        labels={"agentview": pixels(4), "wrist": pixels(4)},
        proprio=rng.uniform(0, 1, size=(steps, 10)).astype(np.float32),
        actions=rng.uniform(-0.05, 0.05, size=(steps, 7)).astype(np.float32),
        spaces=panda(agentview=(12, 16), wrist=(12, 16)),
        control_dt_s=0.05,
        success=True,
        seed=100 + index,
        index=index,
        scene="clutter",
        tier="machine",
        weight=0.5,
        extra={"operator": "scripted"},
    )
    episode = replace(episode, **changes)
    if "spaces" in changes:
        return episode
    sizes = {camera: images.shape[1:3] for camera, images in episode.images.items()}
    return replace(episode, spaces=panda(control_dt_s=episode.control_dt_s, **sizes))


CAMERAS = {"front": (12, 16), "wrist": (10, 10), "side": (9, 16)}  # name: (height, width)


def _other_episode(*, index: int = 0, steps: int = 4) -> Episode:
    """Return an episode of another arm: 9 state values, 6 actions, three cameras of three sizes."""
    rng = np.random.default_rng(index)
    return replace(
        _episode(index=index, steps=steps),
        images={
            name: rng.integers(0, 256, (steps, *size, 3), np.uint8)
            for name, size in CAMERAS.items()
        },
        labels={
            name: rng.integers(0, 4, (steps, *size), np.uint8) for name, size in CAMERAS.items()
        },
        proprio=rng.uniform(0, 1, size=(steps, 9)).astype(np.float32),
        actions=rng.uniform(-0.05, 0.05, size=(steps, 6)).astype(np.float32),
        spaces=other_arm(**CAMERAS),
        control_dt_s=0.1,
    )


def _write_old(root: Path, episode: Episode) -> None:
    """Write an episode as this package did before label maps had files of their own and
    statistics quantiles.
    """
    table, labels = episode_to_table(episode), labels_to_table(episode)
    for name in labels.column_names if labels is not None else ():
        table = table.append_column(name, labels[name])
    metadata = dict(table.schema.metadata)
    footer = json.loads(metadata[b"robot.episode"])
    for statistics in footer["statistics"].values():
        for name in QUANTILES:
            del statistics[name]
    for camera in episode.labels:
        footer["statistics"][f"observation.masks.{camera}"] = {
            "mean": [[[0.0]]],
            "std": [[[0.0]]],
            "min": [[[0.0]]],
            "max": [[[0.0]]],
            "count": [4],
        }
    metadata[b"robot.episode"] = json.dumps(footer).encode()
    path = root / data_path(episode.index)
    path.parent.mkdir(parents=True)
    write_table(path, table.replace_schema_metadata(metadata))


@pytest.fixture
def write_old() -> Callable[[Path, Episode], None]:
    return _write_old


@pytest.fixture
def make_other_episode() -> MakeEpisode:
    return _other_episode


@pytest.fixture
def make_episode() -> MakeEpisode:
    return _episode


def _assert_same(a: Episode, b: Episode) -> None:
    arrays = ("images", "labels", "columns")
    for name in Episode.__dataclass_fields__:
        left, right = getattr(a, name), getattr(b, name)
        if name in arrays:
            assert list(left) == list(right)
            for camera in left:
                np.testing.assert_array_equal(left[camera], right[camera])
        elif name in ("proprio", "actions"):
            assert left.dtype == right.dtype == np.float32
            np.testing.assert_array_equal(left, right)
        elif name != "goal":
            assert left == right, name
    assert a.goal.text == b.goal.text
    assert len(a.goal.regions) == len(b.goal.regions)
    for left, right in zip(a.goal.regions, b.goal.regions, strict=True):
        assert (left.camera, left.box) == (right.camera, right.box)
        np.testing.assert_array_equal(left.mask, right.mask)


@pytest.fixture
def assert_same() -> Callable[[Episode, Episode], None]:
    return _assert_same
