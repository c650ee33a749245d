"""Evaluate cell by cell: every finished cell is one file, and what has a file is not run again.

A cell is one trained arm on one task in one scene. Its file's name holds a hash of all that its
episodes depend on: the bytes of policy and mask head, how masks are made, applied and broken, and
how episodes are run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from robot.checkpoint import file_digest, git_revision
from robot.data.atomic import remove_stale, write_bytes
from robot.experiment.evaluate import Arm, run_jobs
from robot.report.statistics import EpisodeResult, episode_from_json
from robot.rollout.act import Job
from robot.system.cache import key
from robot.types import InputError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How every cell is run: `episodes` initial states of `seed`, the same for every arm (see
    robot.rollout.act).
    """

    episodes: int
    seed: int
    execute: int
    ensemble_decay: float | None
    env_options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise InputError(
                f"got episodes {self.episodes} per cell, expected at least 1; pass "
                "evaluation.episodes=50"
            )


@dataclass(frozen=True)
class CellKey:
    """A cell to evaluate, and the file that holds its episodes once it is done."""

    arm: Arm
    task: str
    scene: str
    file: Path

    @property
    def called(self) -> str:
        """Return what its trained arm is called among jobs: one name may stand for several training
        seeds.
        """
        return f"{self.arm.name} seed {self.arm.training_seed}"


def cells_of(
    arms: Sequence[Arm],
    *,
    tasks: Sequence[str],
    scenes: Sequence[str],
    protocol: Protocol,
    root: Path,
) -> list[CellKey]:
    """Return all cells, arm by arm, so that a process changes networks seldom."""
    found = []
    for arm in arms:
        options = _options(arm, protocol)
        for task, scene in product(tasks, scenes):
            stem = f"{arm.name}-{arm.training_seed}-{task}-{scene}"
            found.append(
                CellKey(
                    arm,
                    task,
                    scene,
                    root / f"{key(stem, options | {'task': task, 'scene': scene})}.json",
                )
            )
    return found


def _options(arm: Arm, protocol: Protocol) -> dict[str, Any]:
    """Return all that an episode of the arm depends on, but for task and scene."""
    return asdict(protocol) | {
        "policy_sha256": file_digest(arm.policy),
        "head_sha256": None if arm.head is None else file_digest(arm.head),
        "perception": arm.perception,
        "deployment": dict(arm.deployment),
        "mask_period": arm.mask_period,
        "faults": [dict(fault) for fault in arm.faults],
        "training_seed": arm.training_seed,
    }


def evaluate_cells(
    cells: Sequence[CellKey], *, protocol: Protocol, workers: int, progress: Progress
) -> list[tuple[EpisodeResult, ...]]:
    """Return the episodes of every cell; run those cells that have no file, in parallel processes,
    and write each when done.

    A kill at any moment loses the cells in flight: with N processes about N of them.
    """
    for folder in {cell.file.parent for cell in cells}:
        remove_stale(folder)
    missing = [cell for cell in cells if not cell.file.is_file()]
    done, of = (len(cells) - len(missing)) * protocol.episodes, len(cells) * protocol.episodes
    progress(done, of)
    for _ in _run(missing, protocol=protocol, workers=workers):
        done += 1
        progress(done, of)
    return [read_cell(cell.file) for cell in cells]


def _run(cells: Sequence[CellKey], *, protocol: Protocol, workers: int) -> Iterator[EpisodeResult]:
    """Yield episodes as they are done; a cell's file is there before its last episode is
    yielded.
    """
    owners = [cell for cell in cells for _ in range(protocol.episodes)]
    jobs = [
        Job(arm=cell.called, task=cell.task, scene=cell.scene, index=number % protocol.episodes)
        for number, cell in enumerate(owners)
    ]
    how = {key: value for key, value in vars(protocol).items() if key != "episodes"}
    finished: dict[Path, dict[int, EpisodeResult]] = {}
    for number, evaluated in run_jobs(
        jobs, arms={cell.called: cell.arm for cell in cells}, workers=workers, **how
    ):
        file, result = owners[number].file, evaluated.result
        episodes = finished.setdefault(file, {})
        episodes[result.index] = result
        if len(episodes) == protocol.episodes:
            write_cell(file, [episodes[index] for index in sorted(finished.pop(file))])
        yield result


def write_cell(file: Path, episodes: Sequence[EpisodeResult]) -> None:
    """Write a cell's episodes, at once or not at all. Inverse: `read_cell`."""
    record = {"episodes": [asdict(episode) for episode in episodes], "git_revision": git_revision()}
    write_bytes(file, json.dumps(record).encode())


def revision_of(file: Path) -> str:
    """Return the revision of the code that ran a cell's episodes."""
    return json.loads(file.read_bytes()).get("git_revision", "unknown")


def read_cell(file: Path) -> tuple[EpisodeResult, ...]:
    """Return a cell's episodes. Inverse: `write_cell`."""
    try:
        return tuple(
            episode_from_json(record) for record in json.loads(file.read_bytes())["episodes"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"got a damaged cell {file}, expected episodes as JSON; delete it and run the command "
            "again"
        ) from error
