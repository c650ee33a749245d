"""Demonstrations on disk as a LeRobotDataset v3 that survives a kill at any moment.

One Parquet file per episode, complete in itself: its footer holds all that meta/ is built from.
Workers write different indices of one folder at the same time; `finalize` then makes the folder a
dataset that LeRobot loads, and may run again whenever episodes were added.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from robot.data.atomic import remove_stale
from robot.data.check import check_episode, check_same_format
from robot.data.lerobot_meta import FILES_PER_CHUNK, data_path, placed, write_json, write_meta
from robot.data.parquet import explaining, read_table, write_table
from robot.data.summary import EpisodeSummary
from robot.data.table import episode_to_table, place_table, read_summary, table_to_episode
from robot.spaces import Spaces
from robot.types import Episode, InputError

_INDEXED = ("episode_index", "index", "frame_index")  # LeRobot selects episodes by these


class EpisodeStore:
    """Episodes under `root`, each under the index that it was collected with."""

    def __init__(self, root: Path) -> None:
        """Open a folder, existing or not, and remove what killed writers left in it."""
        self.root = Path(root)
        self._reference: EpisodeSummary | None = None
        for directory in (
            *self.root.glob("data/chunk-*"),
            self.root / "meta",
            self.root / "meta/episodes/chunk-000",
        ):
            remove_stale(directory)

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
        check_episode(episode)
        path = self._path(episode.index)
        if path.exists():
            raise InputError(
                f"got episode index {episode.index}, expected one that {self.root} lacks: see "
                "`missing(n)`"
            )
        table = episode_to_table(episode)
        self._check_format(read_summary(table.schema.metadata))
        write_table(path, table, indexed=_INDEXED)

    def indices(self) -> set[int]:
        """Return the indices of the stored episodes."""
        matches = (
            re.fullmatch(r".*chunk-(\d+)/file-(\d+)\.parquet", str(path)) for path in self._files()
        )
        return {int(match[1]) * FILES_PER_CHUNK + int(match[2]) for match in matches if match}

    def missing(self, n: int) -> list[int]:
        """Return the indices below `n` that are still to be collected."""
        return sorted(set(range(n)) - self.indices())

    def summary(self, index: int) -> EpisodeSummary:
        """Return all of an episode but its arrays, without decoding an image."""
        path = self._existing(index)
        with explaining(path, remedy=self._remedy(index)):
            summary = read_summary(pq.read_schema(path).metadata)
        return replace(summary, weight=self._weights().get(index, summary.weight))

    def read(self, index: int) -> Episode:
        """Return one episode, with the weight that `set_weights` gave it."""
        path = self._existing(index)
        with explaining(path, remedy=self._remedy(index)):
            episode = table_to_episode(read_table(path))
        return replace(episode, weight=self._weights().get(index, episode.weight))

    def set_weights(self, weights: Mapping[int, float]) -> None:
        """Give episodes their demonstration weights, atomically; those not named keep theirs."""
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
        files, then meta/.
        """
        found = [self.summary(index) for index in sorted(self.indices())]
        if not found:
            raise InputError(
                f"got no episodes in {self.root}, expected at least one: collect before finalizing"
            )
        for summary in found[1:]:
            check_same_format(summary, reference=found[0])
        summaries = placed(found)
        for before, after in zip(found, summaries, strict=True):
            if before.placement != after.placement:
                self._rewrite(after)
        write_meta(self.root, summaries)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(index) for index in sorted(self.indices()))

    def __len__(self) -> int:
        return len(self.indices())

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

    def _files(self) -> Iterator[Path]:
        return self.root.glob("data/chunk-*/file-*.parquet")

    def _path(self, index: int) -> Path:
        return self.root / data_path(index)

    def _existing(self, index: int) -> Path:
        path = self._path(index)
        if not path.exists():
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
