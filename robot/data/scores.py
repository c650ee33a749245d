"""A discriminator's score of every window of a dataset, in the dataset's folder:
`scores/<name>.parquet`.

One row per frame, that of the window which starts there: `episode` (the index in the store),
`frame`, `score` (probability of being trusted), `weight` (mean 1 over all windows that were scored
together). The footer's `robot.scores` says in JSON what scored them. The episodes' own files stay
unchanged: the scores of several lie side by side, and a folder without any is read as before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from robot.data.parquet import explaining, read_table, write_table
from robot.types import InputError

_ABOUT = b"robot.scores"


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Score and weight of the windows that start at each of an episode's T frames."""

    scores: Float32[np.ndarray, " t"]
    weights: Float32[np.ndarray, " t"]


@dataclass(frozen=True, kw_only=True)
class ScoredBy:
    """What made the scores of a file: the rule and its `eta`, the kind of policy whose loss was
    seen, through which masks, and the stores that were scored together.
    """

    rule: str
    eta: float
    calibrated: bool
    folds: int
    seed: int
    kind: str
    masks: str
    demonstrations: Sequence[str]


def scores_path(root: Path, name: str) -> Path:
    """Return where the scores `name` of the dataset at `root` lie."""
    return Path(root) / "scores" / f"{name}.parquet"


def write_scores(
    root: Path, name: str, episodes: Mapping[int, WindowScores], *, about: ScoredBy
) -> Path:
    """Write scores atomically; older ones of that name are replaced. `read_scores` is the
    inverse.
    """
    if not episodes:
        raise InputError(
            f"got no scores to write for {root}, expected those of at least one episode"
        )
    episodes = dict(sorted(episodes.items()))
    lengths = [len(windows.scores) for windows in episodes.values()]
    columns = {
        "episode": np.repeat(np.array(list(episodes), np.int64), lengths),
        "frame": np.concatenate([np.arange(length) for length in lengths]),
        "score": np.concatenate([windows.scores for windows in episodes.values()]),
        "weight": np.concatenate([windows.weights for windows in episodes.values()]),
    }
    table = pa.table({column: pa.array(values) for column, values in columns.items()})
    path = scores_path(root, name)
    write_table(path, table.replace_schema_metadata({_ABOUT: json.dumps(asdict(about)).encode()}))
    return path


def read_scores(root: Path, name: str) -> dict[int, WindowScores]:
    """Invert `write_scores`."""
    path = _existing(root, name)
    with explaining(path, remedy="delete it and score the demonstrations again"):
        table = read_table(path)
        column = {field: table[field].to_numpy() for field in ("episode", "score", "weight")}

        def split(field):
            return np.split(column[field].astype(np.float32), starts[1:])

        indices, starts = np.unique(column["episode"], return_index=True)
        return {
            int(index): WindowScores(scores=score, weights=weight)
            for index, score, weight in zip(indices, split("score"), split("weight"), strict=True)
        }


def _existing(root: Path, name: str) -> Path:
    path = scores_path(root, name)
    if not path.is_file():
        known = sorted(other.stem for other in path.parent.glob("*.parquet"))
        raise InputError(
            f"got scores {name!r}, expected one of {', '.join(known) or 'none'} in {path.parent}; "
            "score them first"
        )
    return path
