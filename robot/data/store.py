"""Demonstrations on disk as a LeRobotDataset v3 that survives a kill at any moment.

One Parquet file per episode: its footer holds all that meta/ is built from. Label maps lie beside
it, under masks/, and are written first: an episode is there when its own file is. Workers write
different indices of one folder at the same time; `finalize` then makes the folder a dataset that
LeRobot loads, and may run again whenever episodes were added.

A folder that LeRobot itself recorded is read as it is (robot.data.lerobot_folder), never written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from robot.data.atomic import remove_stale
from robot.data.check import check_episode, check_same_format
from robot.data.lerobot_folder import LeRobotFolder
from robot.data.lerobot_meta import (
    FILES_PER_CHUNK,
    data_path,
    labels_path,
    placed,
    write_json,
    write_meta,
)
from robot.data.parquet import explaining, read_table, write_table
from robot.data.statistics import QUANTILES
from robot.data.summary import EpisodeSummary
from robot.data.table import (
    ACTION,
    episode_to_table,
    holds_labels,
    is_ours,
    labels_to_table,
    place_table,
    read_summary,
    table_to_episode,
)
from robot.spaces import Spaces
from robot.types import Episode, InputError

_INDEXED = ("episode_index", "index", "frame_index")  # LeRobot selects episodes by these


class EpisodeStore:
    """Episodes under `root`, each under the index that it was collected with."""

    def __init__(self, root: Path) -> None:
        """Open a folder, existing or not, and remove what killed writers left in it."""
        self.root = Path(root)
        self._reference: EpisodeSummary | None = None
        if self.foreign is not None:
            return
        for directory in (
            *self.root.glob("data/chunk-*"),
            *self.root.glob("masks/chunk-*"),
            self.root / "meta",
            self.root / "meta/episodes/chunk-000",
        ):
            remove_stale(directory)

    @cached_property
    def foreign(self) -> LeRobotFolder | None:
        """Return the reader of a dataset that LeRobot recorded; None where the folder is ours, or
        empty.
        """
        if not (self.root / "meta/info.json").is_file():
            return None
        readable = (
            metadata for file in self._files() if (metadata := _metadata_of(file)) is not None
        )
        first = next(readable, None)
        if first is None:
            ours = not any(self.root.glob("meta/episodes/*/*.parquet")) or _is_our_meta(self.root)
        else:
            ours = is_ours(first) or any(map(is_ours, readable))
        return None if ours else LeRobotFolder(self.root)

    @property
    def spaces(self) -> Spaces:
        """Return the spaces that all episodes share."""
        indices = self.indices()
        if not indices:
            raise InputError(
                f"got no episodes in {self.root}, expected at least one: its spaces stand in its "
                "episodes, so collect some first"
            )
        return self.summary(min(indices)).spaces

    def append(self, episode: Episode) -> None:
        """Write one episode; it is there, whole and on the disk, when this returns. Refuses an
        index that is taken.
        """
        self._check_writable()
        check_episode(episode)
        path = self._path(episode.index)
        if path.exists():
            raise InputError(
                f"got episode index {episode.index}, expected one that {self.root} lacks: see "
                "`missing(n)`"
            )
        table = episode_to_table(episode)
        self._check_format(read_summary(table.schema.metadata))
        self._write_labels(episode)
        write_table(path, table, indexed=_INDEXED)

    def indices(self) -> set[int]:
        """Return the indices of the stored episodes."""
        if self.foreign is not None:
            return self.foreign.indices()
        matches = (
            re.fullmatch(r".*chunk-(\d+)/file-(\d+)\.parquet", str(path)) for path in self._files()
        )
        return {int(match[1]) * FILES_PER_CHUNK + int(match[2]) for match in matches if match}

    def missing(self, n: int) -> list[int]:
        """Return the indices below `n` that are still to be collected."""
        return sorted(set(range(n)) - self.indices())

    def lost(self) -> int:
        """Return how many episodes of those that meta/ counts have no file any more; 0 where there
        is no meta/ yet.
        """
        info = self.root / "meta/info.json"
        if self.foreign is not None or not info.is_file():
            return 0
        told = int(json.loads(info.read_text(encoding="utf-8")).get("total_episodes", 0))
        return max(0, told - len(self))

    def summary(self, index: int) -> EpisodeSummary:
        """Return all of an episode but its arrays, without decoding an image."""
        path = self._existing(index)
        if self.foreign is not None:
            summary = self.foreign.summary(index)
        else:
            with explaining(path, remedy=self._remedy(index)):
                summary = read_summary(self._footer(path))
        return replace(summary, weight=self._weights().get(index, summary.weight))

    def read(self, index: int) -> Episode:
        """Return one episode, with the weight that `set_weights` gave it."""
        path = self._existing(index)
        episode = self._read(index) if self.foreign is None else self.foreign.read(index)
        try:
            check_episode(episode)
        except InputError as error:
            raise InputError(f"in {path}: {error}") from error
        return replace(episode, weight=self._weights().get(index, episode.weight))

    def set_weights(self, weights: Mapping[int, float]) -> None:
        """Give episodes their demonstration weights, atomically; those not named keep theirs."""
        self._check_writable()
        unknown = sorted(set(weights) - self.indices())
        bad = [
            index
            for index, weight in weights.items()
            if not (math.isfinite(weight) and weight >= 0)
        ]
        if unknown or bad:
            raise InputError(
                f"got weights for unknown episodes {unknown[:5]} and not finite or negative ones "
                f"for {bad[:5]}, expected "
                f"finite weights >= 0 of the {len(self)} episodes in {self.root}"
            )
        merged = self._weights() | {int(index): float(weight) for index, weight in weights.items()}
        write_json(
            self._weights_path, {str(index): weight for index, weight in sorted(merged.items())}
        )

    def finalize(self) -> None:
        """Make the folder a complete LeRobotDataset v3: frame and task numbers in the episode
        files, then meta/. Episodes in an older format are rewritten in today's.
        """
        self._check_writable()
        found = [self.summary(index) for index in sorted(self.indices())]
        if not found:
            raise InputError(
                f"got no episodes in {self.root}, expected at least one: collect before finalizing"
            )
        for summary in found[1:]:
            check_same_format(summary, reference=found[0])
        summaries = placed(found)
        for before, after in zip(found, summaries, strict=True):
            if self._is_old(before):
                self._renew(after)
            elif before.placement != after.placement:
                self._rewrite(after)
        summaries = [self.summary(summary.index) for summary in summaries]
        write_meta(self.root, summaries)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in sorted(self.indices()))

    def __len__(self) -> int:
        return len(self.indices())

    def _read(self, index: int) -> Episode:
        path = self._path(index)
        with explaining(path, remedy=self._remedy(index)):
            table = read_table(path)
            if not is_ours(table.schema.metadata):
                raise _stranger(path)
            beside = read_summary(table.schema.metadata).label_shapes and not holds_labels(
                table.schema
            )
        labels = self._read_labels(index) if beside else None
        with explaining(path, remedy=self._remedy(index)):
            return table_to_episode(table, labels)

    def _read_labels(self, index: int) -> pa.Table:
        path = self.root / labels_path(index)
        if not path.is_file():
            raise InputError(
                f"got no label maps at {path}, expected those of episode {index}: copy masks/ "
                "together with data/"
            )
        with explaining(
            path, remedy=f"delete {self._path(index)} and collect episode {index} again"
        ):
            return read_table(path)

    def _write_labels(self, episode: Episode) -> None:
        path, table = self.root / labels_path(episode.index), labels_to_table(episode)
        if table is not None:
            write_table(path, table)

    def _footer(self, path: Path) -> dict[bytes, bytes]:
        metadata = pq.read_schema(path).metadata
        if not is_ours(metadata):
            raise _stranger(path)
        return metadata

    def _is_old(self, summary: EpisodeSummary) -> bool:
        """Return whether an episode has its label maps among its own columns, or statistics
        without quantiles.
        """
        schema = pq.read_schema(self._path(summary.index))
        return holds_labels(schema) or set(summary.statistics[ACTION].quantiles) != set(QUANTILES)

    def _renew(self, summary: EpisodeSummary) -> None:
        """Write an episode of an older format again, in today's."""
        assert summary.placement is not None
        episode = self._read(summary.index)
        self._write_labels(episode)
        table = place_table(episode_to_table(episode), summary.placement)
        write_table(self._path(summary.index), table, indexed=_INDEXED)

    def _rewrite(self, summary: EpisodeSummary) -> None:
        path = self._path(summary.index)
        assert summary.placement is not None
        with explaining(path, remedy=self._remedy(summary.index)):
            table = place_table(read_table(path), summary.placement)
        write_table(path, table, indexed=_INDEXED)

    def _check_format(self, summary: EpisodeSummary) -> None:
        if self._reference is None:
            first = min(self.indices(), default=None)
            self._reference = summary if first is None else self.summary(first)
        check_same_format(summary, reference=self._reference)

    def _check_writable(self) -> None:
        if self.foreign is not None:
            raise InputError(
                f"got {self.root}, a dataset that LeRobot recorded, to write to, expected a folder "
                "of this package or an empty one: write to another folder"
            )

    def _files(self) -> Iterator[Path]:
        return self.root.glob("data/chunk-*/file-*.parquet")

    def _path(self, index: int) -> Path:
        return self.root / data_path(index)

    def _existing(self, index: int) -> Path:
        path = self._path(index) if self.foreign is None else self.foreign.path(index)
        if path is None or not path.exists():
            stored = sorted(self.indices())
            known = (
                f"{len(stored)} episodes from {stored[0]} to {stored[-1]}"
                if stored
                else "no episodes"
            )
            raise InputError(
                f"got episode index {index}, expected one of those in {self.root}, which has "
                f"{known}"
            )
        return path

    def _remedy(self, index: int) -> str:
        return f"delete it and collect episode {index} again (`missing` will name it)"

    @property
    def _weights_path(self) -> Path:
        return self.root / "meta/weights.json"

    def _weights(self) -> dict[int, float]:
        if not self._weights_path.exists():
            return {}
        with explaining(self._weights_path, remedy="delete it and compute the weights again"):
            return {
                int(index): float(weight)
                for index, weight in json.loads(self._weights_path.read_text()).items()
            }


def _metadata_of(path: Path) -> dict[bytes, bytes] | None:
    """Return the metadata of a Parquet file; None where it cannot be read."""
    try:
        return pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None


def _is_our_meta(root: Path) -> bool:
    """Return whether meta/ is of this package, where no data file can be read to tell."""
    about = json.loads((root / "meta/info.json").read_text(encoding="utf-8"))
    return "next.success" in about.get("features", {}) and about.get("video_path") is None


def _stranger(path: Path) -> InputError:
    return InputError(
        f"got {path}, a Parquet file that this package did not write, without a meta/info.json "
        "beside data/, expected the whole folder of a LeRobotDataset v3: copy its meta/ as well"
    )
