"""The meta/ folder of a LeRobotDataset v3: info.json, tasks.parquet, episodes/, stats.json; all
derived from episode files.

Source of the layout: huggingface/lerobot, src/lerobot/datasets (dataset_metadata.py, io_utils.py,
utils.py), v3.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from robot.data import statistics
from robot.data.atomic import write_bytes
from robot.data.parquet import write_table
from robot.data.summary import EpisodeSummary, Placement, place
from robot.data.table import features

FILES_PER_CHUNK = 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
LABELS_PATH = "masks/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"


def data_path(index: int) -> str:
    """Return the path of an episode's file under the root; sorted paths are sorted indices, which
    LeRobot relies on.
    """
    return _numbered(DATA_PATH, index)


def labels_path(index: int) -> str:
    """Return the path of an episode's label maps under the root, where LeRobot does not look."""
    return _numbered(LABELS_PATH, index)


def _numbered(pattern: str, index: int) -> str:
    return pattern.format(chunk_index=index // FILES_PER_CHUNK, file_index=index % FILES_PER_CHUNK)


def task_table(summaries: Sequence[EpisodeSummary]) -> list[str]:
    """Return the distinct goal sentences in order of first appearance: LeRobot's tasks, so that
    adding episodes moves none.
    """
    return list(dict.fromkeys(summary.goal.text for summary in summaries))


def placed(summaries: Sequence[EpisodeSummary]) -> list[EpisodeSummary]:
    """Return the summaries (sorted by index) with the place that each has in the dataset."""
    task_index = {text: index for index, text in enumerate(task_table(summaries))}
    result, from_index = [], 0
    for rank, summary in enumerate(summaries):
        placement = Placement(
            episode_index=rank, from_index=from_index, task_index=task_index[summary.goal.text]
        )
        result.append(place(summary, placement))
        from_index += summary.length
    return result


def write_meta(root: Path, summaries: Sequence[EpisodeSummary]) -> None:
    """Write meta/ from placed summaries. Each file is replaced atomically."""
    tasks = task_table(summaries)
    write_table(root / "meta/tasks.parquet", _tasks(tasks))
    write_table(root / EPISODES_PATH, _episodes(summaries))
    write_json(root / "meta/stats.json", _stats(summaries))
    write_json(root / "meta/info.json", _info(summaries, tasks=tasks))


def write_json(path: Path, content: dict) -> None:
    """Write JSON for people, atomically."""
    write_bytes(path, json.dumps(content, indent=4, ensure_ascii=False).encode())


def _info(summaries: Sequence[EpisodeSummary], *, tasks: Sequence[str]) -> dict:
    return {
        "codebase_version": "v3.0",
        "robot_type": summaries[0].spaces.robot_type,
        "total_episodes": len(summaries),
        "total_frames": sum(summary.length for summary in summaries),
        "total_tasks": len(tasks),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": _fps(summaries[0].control_dt_s),
        "splits": {"train": f"0:{len(summaries)}"},
        "data_path": DATA_PATH,
        "video_path": None,
        "features": features(summaries[0]),
    }


def _fps(control_dt_s: float) -> int | float:
    """Return frames per second, whole where they are, so that timestamps agree with them."""
    fps = 1 / control_dt_s
    return round(fps) if math.isclose(fps, round(fps), rel_tol=1e-6) else fps


def _stats(summaries: Sequence[EpisodeSummary]) -> dict:
    return {
        key: statistics.to_json(
            statistics.combine(summary.statistics[key] for summary in summaries)
        )
        for key in _known(summaries[0])
    }


def _known(summary: EpisodeSummary) -> list[str]:
    """Return the features with statistics; files from before hold those of label maps, too."""
    return [key for key in summary.statistics if key in features(summary)]


def _tasks(tasks: Sequence[str]) -> pa.Table:
    """Return the table that pandas reads back as a frame indexed by the sentence, which is how
    LeRobot keeps tasks.
    """
    shared = {"metadata": None}
    task_index = {
        "name": "task_index",
        "field_name": "task_index",
        "pandas_type": "int64",
        "numpy_type": "int64",
    }
    task = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [task_index | shared, task | shared],
        "pandas_version": "2.2.0",
        "creator": {"library": "pyarrow", "version": pa.__version__},
    }
    table = pa.table(
        {
            "task_index": pa.array(range(len(tasks)), pa.int64()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _episodes(summaries: Sequence[EpisodeSummary]) -> pa.Table:
    return pa.Table.from_pylist([_episode_row(summary) for summary in summaries])


def _episode_row(summary: EpisodeSummary) -> dict:
    assert summary.placement is not None
    stats = {
        f"stats/{key}/{name}": value
        for key in _known(summary)
        for name, value in statistics.to_json(summary.statistics[key]).items()
    }
    return {
        "episode_index": summary.placement.episode_index,
        "tasks": [summary.goal.text],
        "length": summary.length,
        "data/chunk_index": summary.index // FILES_PER_CHUNK,
        "data/file_index": summary.index % FILES_PER_CHUNK,
        "dataset_from_index": summary.placement.from_index,
        "dataset_to_index": summary.placement.from_index + summary.length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **stats,
    }
