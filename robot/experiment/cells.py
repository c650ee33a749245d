"""Evaluate cell by cell: every finished cell is one file, and what has a file is not run again.

A cell is one trained arm on one task in one scene. Its file's name holds a hash of all that its
episodes depend on: the bytes of policy and mask head, how masks are made, applied and broken, and
how episodes are run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

from robot.checkpoint import file_digest, git_revision
from robot.data.atomic import remove_stale, write_bytes
from robot.report.statistics import EpisodeResult, episode_from_json
from robot.rollout.act import Job, Outcome, Protocol, make_evaluator
from robot.rollout.agents import AgentSpec
from robot.system.cache import key
from robot.system.parallel import parallel_map
from robot.types import InputError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entrant:
    """An arm, trained with one seed, that is evaluated."""

    arm: str
    training_seed: int
    agent: AgentSpec


@dataclass(frozen=True)
class Cell:
    """An entrant on one task in one scene, and the file of its episodes once they are done."""

    entrant: Entrant
    task: str
    scene: str
    file: Path


@dataclass(frozen=True)
class Evaluated:
    """One episode: its numbers, and its pictures where they were kept."""

    result: EpisodeResult
    outcome: Outcome | None = None


def cells_of(
    entrants: Sequence[Entrant],
    *,
    tasks: Sequence[str],
    scenes: Sequence[str],
    protocol: Protocol,
    episodes: int,
    root: Path,
) -> list[Cell]:
    """Return all cells, entrant by entrant, so that a process rarely changes networks."""
    found = []
    for entrant in entrants:
        common = _content(entrant, protocol, episodes=episodes)
        for task, scene in product(tasks, scenes):
            stem = f"{entrant.arm}-{entrant.training_seed}-{task}-{scene}"
            name = key(stem, {**common, "task": task, "scene": scene})
            found.append(Cell(entrant, task, scene, root / f"{name}.json"))
    return found


def _content(entrant: Entrant, protocol: Protocol, *, episodes: int) -> dict[str, object]:
    """Return all that an entrant's episodes depend on, but for task and scene."""
    agent = entrant.agent
    return {
        "protocol": protocol,
        "episodes": episodes,
        "policy": file_digest(agent.policy),
        "head": None if agent.head is None else file_digest(agent.head),
        "perception": agent.perception,
        "deployment": agent.deployment,
        "mask_period": agent.mask_period,
        "faults": agent.faults,
        "training_seed": entrant.training_seed,
    }


def evaluate_cells(
    cells: Sequence[Cell],
    *,
    protocol: Protocol,
    episodes: int,
    keep: int,
    workers: int,
    progress: Progress,
) -> list[Evaluated]:
    """Return the episodes of every cell, in order; run those that have no file, in parallel
    processes, and write each cell when it is done.

    The first `keep` episodes of a cell keep their pictures, for which those of finished cells are
    run again. A kill at any moment loses the episodes in flight: those of a cell that is not
    finished lie in a file of their own beside it.
    """
    for folder in {cell.file.parent for cell in cells}:
        remove_stale(folder)
    done = {cell.file: read_cell(cell.file) for cell in cells if cell.file.is_file()}
    partly = {cell.file: read_partial(cell.file) for cell in cells if cell.file not in done}
    filmed = min(keep, episodes)
    wanted = [
        (cell, index)
        for cell in cells
        for index in range(filmed if cell.file in done else episodes)
        if index < filmed or index not in partly[cell.file]
    ]
    found: dict[Path, dict[int, Evaluated]] = {cell.file: {} for cell in cells}
    progress(0, len(wanted))
    _finish(partly, done, episodes=episodes)  # cut off between its last episode and its file
    for number, (cell, evaluated) in enumerate(
        _run(wanted, protocol=protocol, keep=keep, workers=workers), start=1
    ):
        found[cell.file][evaluated.result.index] = evaluated
        if cell.file not in done:
            partly[cell.file][evaluated.result.index] = evaluated.result
            _write(partial_of(cell.file), partly[cell.file].values())
            _finish(partly, done, episodes=episodes)
        progress(number, len(wanted))
    return [
        Evaluated(result, of.outcome if (of := found[cell.file].get(result.index)) else None)
        for cell in cells
        for result in done[cell.file]
    ]


def _finish(
    partly: Mapping[Path, Mapping[int, EpisodeResult]],
    done: dict[Path, tuple[EpisodeResult, ...]],
    *,
    episodes: int,
) -> None:
    """Write the cells that have all of their episodes, and remove their files of some of them."""
    for file, results in partly.items():
        if file not in done and len(results) == episodes:
            done[file] = tuple(results[index] for index in range(episodes))
            write_cell(file, done[file])
            partial_of(file).unlink(missing_ok=True)


def _run(
    wanted: Sequence[tuple[Cell, int]], *, protocol: Protocol, keep: int, workers: int
) -> Iterator[tuple[Cell, Evaluated]]:
    """Yield episodes as they are done."""
    entrants = {id(cell.entrant): cell.entrant for cell, _ in wanted}
    numbers = {identity: number for number, identity in enumerate(entrants)}
    jobs = [
        Job(numbers[id(cell.entrant)], cell.task, cell.scene, index, keep=index < keep)
        for cell, index in wanted
    ]
    make = partial(
        make_evaluator,
        agents=[entrant.agent for entrant in entrants.values()],
        jobs=jobs,
        protocol=protocol,
    )
    for item, outcome in parallel_map(make, range(len(jobs)), workers=workers):
        cell, index = wanted[item]
        yield cell, Evaluated(_result(cell, index, outcome, seed=protocol.seed), outcome)


def _result(cell: Cell, index: int, outcome: Outcome, *, seed: int) -> EpisodeResult:
    return EpisodeResult(
        arm=cell.entrant.arm,
        task=cell.task,
        scene=cell.scene,
        training_seed=cell.entrant.training_seed,
        seed=seed,
        index=index,
        success=outcome.success,
        steps=outcome.steps,
        goal=outcome.goal,
        wrong_object=outcome.wrong_object,
        closed_on_object=outcome.closed_on_object,
        mask_iou=outcome.mask_iou if cell.entrant.agent.perception == "learned" else None,
        control_ms=outcome.plan_ms,
    )


def write_cell(file: Path, episodes: Sequence[EpisodeResult]) -> None:
    """Write a cell's episodes, at once or not at all. Inverse: `read_cell`."""
    _write(file, episodes, git_revision=git_revision())


def _write(file: Path, episodes: Iterable[EpisodeResult], **more: str) -> None:
    record = {"episodes": [asdict(episode) for episode in episodes], **more}
    write_bytes(file, json.dumps(record).encode())


def partial_of(file: Path) -> Path:
    """Return the file of the episodes that an unfinished cell has."""
    return file.with_suffix(".partial")


def read_partial(file: Path) -> dict[int, EpisodeResult]:
    """Return the episodes that an unfinished cell has, by their index."""
    partial = partial_of(file)
    return {r.index: r for r in read_cell(partial)} if partial.is_file() else {}


def revision_of(file: Path) -> str:
    """Return the revision of the code that ran a cell's episodes."""
    record: Mapping[str, str] = json.loads(file.read_bytes())
    return record.get("git_revision", "unknown")


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
