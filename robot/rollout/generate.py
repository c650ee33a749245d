"""The data engine at work: episodes of simulators (or other graphs) -> verified records on disk.

A data set is a folder: records/00000.parquet, ... (one file per shard), images/ and shards/*.json
(what generators abstained from). A shard is a function of its number and the options, so it is the
same whatever process makes it, and one that is there is not made again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from robot.data import png
from robot.data.atomic import write_bytes
from robot.data.parquet import write_table
from robot.envs.make import Backend, EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.instruct.build import build_graph
from robot.instruct.engine import Made, records_of
from robot.instruct.raw import RawFrame
from robot.instruct.records import drawn
from robot.instruct.registry import MULTI_FRAME, SINGLE_FRAME
from robot.instruct.verify import disagreement
from robot.rollout.episode_looks import episode_looks, staged_look
from robot.rollout.given_graphs import Source
from robot.rollout.record_tables import Masks, image_path, row_of, table_of

Moments = Literal["expert", "staged"]


@dataclass(frozen=True)
class Staged:
    """A task in a scene of a simulator: where a shard's episodes are from."""

    backend: Backend
    task: str
    scene: str


@dataclass(frozen=True)
class Engine:
    """What a data set is made of: per shard `episodes` of every task, `looks` of each, at most
    `per_call` records of a generator for a frame or sequence. `moments` are those of an expert at
    work, or "staged": posed without physics, one look of an episode. `generators` are those asked,
    all without any.
    """

    tasks: tuple[Staged, ...]
    episodes: int
    looks: int
    per_call: int
    image_size: int
    seed: int
    verify: bool = True
    moments: Moments = "expert"
    generators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shard:
    """What came of a shard, for summaries."""

    records: int
    seconds: dict[str, float]  # rendering, generating, verifying, writing
    abstained: dict[str, int]
    disagreements: dict[str, int]


def record_path(root: Path, shard: int) -> Path:
    return root / "records" / f"{shard:05d}.parquet"


def shard_path(root: Path, shard: int) -> Path:
    return root / "shards" / f"{shard:05d}.json"


def make_shards(engine: Engine, *, root: Path) -> Callable[[int], Shard]:
    """Return work for `parallel_map`: make one shard of the data set at `root`."""
    return partial(_shard, engine=engine, root=root, envs={})


def _shard(number: int, *, engine: Engine, root: Path, envs: dict[tuple, SimulatedEnv]) -> Shard:
    clock = [time.perf_counter()]
    looks = [
        _looks(_env(task, engine.image_size, envs), task, engine, index=k)
        for task in engine.tasks
        for k in range(number * engine.episodes, (number + 1) * engine.episodes)
    ]
    clock.append(time.perf_counter())
    raws = {(r.episode, r.frame, r.camera): r for e in looks for look in e for r in look}
    episodes = [[[build_graph(raw) for raw in look] for look in e] for e in looks]
    abstained: Counter[str] = Counter()
    chosen = engine.generators or None
    made = records_of(
        episodes,
        seed=engine.seed,
        per_call=engine.per_call,
        single=_chosen(SINGLE_FRAME, chosen),
        multi=_chosen(MULTI_FRAME, chosen),
        abstained=abstained,
    )
    clock.append(time.perf_counter())
    wrong = [_wrong(m, raws) if engine.verify else "not verified" for m in made]
    clock.append(time.perf_counter())
    for raw in raws.values():
        if raw.image is not None:
            _write_picture(root, raw)
    write_records(root, number, made, seed=engine.seed, verified=[not w for w in wrong])
    clock.append(time.perf_counter())
    names = ("rendering", "generating", "verifying", "writing")
    shard = Shard(
        records=len(made),
        seconds=dict(zip(names, np.diff(clock).tolist(), strict=True)),
        abstained=dict(abstained),
        disagreements=_counted(
            f"{m.record.generator}: {w}"
            for m, w in zip(made, wrong, strict=True)
            if w and engine.verify
        ),
    )
    write_bytes(shard_path(root, number), json.dumps(asdict(shard)).encode())
    return shard


def _counted(what: Iterable[str]) -> dict[str, int]:
    """Count in a plain dict: `asdict` makes other keys of a Counter."""
    return dict(Counter(what))


def _looks(env: SimulatedEnv, task: Staged, engine: Engine, *, index: int) -> list[list[RawFrame]]:
    """Return the looks of an episode."""
    where: Any = {"seed": engine.seed, "index": index, "scene": task.scene, "backend": task.backend}
    if engine.moments == "staged":
        return staged_look(env, **where)
    return episode_looks(env, looks=engine.looks, **where)


def make_given(
    source: Source,
    *,
    root: Path,
    shards: int,
    seed: int,
    per_call: int,
    generators: Collection[str] | None = None,
) -> Callable[[int], Shard]:
    """Return work for `parallel_map`: make one of `shards` shards of what a source gives, by all
    generators or some. Nothing can verify it, so its records are of the machine tier.
    """
    return partial(
        _given_shard,
        source=source,
        root=root,
        shards=shards,
        seed=seed,
        per_call=per_call,
        generators=generators,
    )


def _given_shard(
    number: int,
    *,
    source: Source,
    root: Path,
    shards: int,
    seed: int,
    per_call: int,
    generators: Collection[str] | None,
) -> Shard:
    clock = [time.perf_counter()]
    given, abstained = source(number, shards), Counter()
    clock.append(time.perf_counter())
    made = records_of(
        [g.looks for g in given],
        seed=seed,
        per_call=per_call,
        abstained=abstained,
        single=_chosen(SINGLE_FRAME, generators),
        multi=_chosen(MULTI_FRAME, generators),
    )
    clock.append(time.perf_counter())
    edits: dict[str, str] = {}
    for one in given:
        edits |= one.edits
        for place, picture in one.pictures.items():
            if isinstance(picture, Path):
                picture = np.asarray(Image.open(picture).convert("RGB"))
            _write(root / place, picture)
    write_records(root, number, made, seed=seed, verified=[False] * len(made), edits=edits)
    clock.append(time.perf_counter())
    names = ("reading", "generating", "writing")
    shard = Shard(
        records=len(made),
        seconds=dict(zip(names, np.diff(clock).tolist(), strict=True)),
        abstained=dict(abstained),
        disagreements={},
    )
    write_bytes(shard_path(root, number), json.dumps(asdict(shard)).encode())
    return shard


def _chosen(every: dict[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    return every if names is None else {n: g for n, g in every.items() if n in names}


def _env(task: Staged, size: int, envs: dict[tuple, SimulatedEnv]) -> SimulatedEnv:
    """Return an env for a task; the tabletop's tasks of one backend share one."""
    from robot.envs.registry import TABLETOP

    key = (task.backend, "tabletop" if task.task in TABLETOP else task.task)
    if key not in envs:
        envs[key] = make_env(task.task, EnvOptions(backend=task.backend, image_size=size))
    envs[key].switch_task(task.task)
    return envs[key]


def _wrong(made: Made, raws: dict[tuple, RawFrame]) -> str:
    """Return what the verifier finds wrong with a record; "" where nothing is."""
    record, ids = made.record, [g.id_map for g in made.graphs]
    return disagreement(
        record,
        [raws[g.episode, g.frame, g.camera.name] for g in made.graphs],
        answer_masks=drawn(record.answer_mask, record.answer_points, id_maps=ids),
        relevance_masks=drawn(record.relevance_mask, record.answer_points, id_maps=ids),
    )


def _write_picture(root: Path, raw: RawFrame) -> None:
    assert raw.image is not None
    _write(root / f"images/{raw.episode}/{raw.frame:05d}-{raw.camera}.png", raw.image)


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, png.encode(image))


def write_records(
    root: Path,
    number: int,
    made: Sequence[Made],
    *,
    seed: int,
    verified: Sequence[bool],
    edits: Mapping[str, str] | None = None,
) -> None:
    """Write a shard's records, with what was edited in their first picture's graph."""
    masks, logs = Masks(), edits or {}
    rows = [
        row_of(m, id=f"{number:05d}-{k:06d}", seed=seed, verified=ok, masks=masks)
        | {"edit_log": logs.get(image_path(m.graphs[0]), "[]")}
        for k, (m, ok) in enumerate(zip(made, verified, strict=True))
    ]
    path = record_path(root, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table_of(rows))


def missing_shards(root: Path, count: int) -> list[int]:
    """Return the numbers of the shards that are not there, or not whole, yet."""
    return [
        k
        for k in range(count)
        if not (record_path(root, k).is_file() and shard_path(root, k).is_file())
    ]
