"""The data engine at work: episodes of simulators (or other graphs) -> verified records on disk.

A data set is a folder: records/00000.parquet, ... (one file per shard), images/ and shards/*.json
(what generators abstained from). A shard is a function of its number and the options, so it is the
same whatever process makes it, and one that is there is not made again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from robot.data import png
from robot.data.atomic import write_bytes
from robot.data.parquet import write_table
from robot.envs.make import Backend, EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.instruct.annotations import load_annotations
from robot.instruct.build import build_graph
from robot.instruct.engine import Made, records_of
from robot.instruct.raw import RawFrame
from robot.instruct.records import drawn
from robot.instruct.verify import disagreement
from robot.rollout.episode_looks import episode_looks
from robot.rollout.record_tables import Masks, image_path, row_of, table_of


@dataclass(frozen=True)
class Staged:
    """A task in a scene of a simulator: where a shard's episodes are from."""

    backend: Backend
    task: str
    scene: str


@dataclass(frozen=True)
class Engine:
    """What a data set is made of: per shard `episodes` of every task, `looks` of each, at most
    `per_call` records of a generator for a frame or sequence.
    """

    tasks: tuple[Staged, ...]
    episodes: int
    looks: int
    per_call: int
    image_size: int
    seed: int
    verify: bool = True


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
    looks: list[list[list[RawFrame]]] = []
    for task in engine.tasks:
        env = _env(task, engine.image_size, envs)
        for k in range(number * engine.episodes, (number + 1) * engine.episodes):
            looks.append(
                episode_looks(
                    env,
                    seed=engine.seed,
                    index=k,
                    scene=task.scene,
                    looks=engine.looks,
                    backend=task.backend,
                )
            )
    clock.append(time.perf_counter())
    raws = {(r.episode, r.frame, r.camera): r for e in looks for look in e for r in look}
    episodes = [[[build_graph(raw) for raw in look] for look in e] for e in looks]
    abstained: Counter[str] = Counter()
    made = records_of(episodes, seed=engine.seed, per_call=engine.per_call, abstained=abstained)
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
        disagreements=Counter(
            f"{m.record.generator}: {w}"
            for m, w in zip(made, wrong, strict=True)
            if w and engine.verify
        ),
    )
    write_bytes(shard_path(root, number), json.dumps(asdict(shard)).encode())
    return shard


def make_annotated(folder: Path, *, root: Path, seed: int, per_call: int) -> Shard:
    """Make the data set at `root`, one shard, from annotated pictures: nothing can verify what
    people or models wrote about them, so its records are of the machine tier.
    """
    started = time.perf_counter()
    pictures, abstained = load_annotations(folder), Counter()
    episodes = [[[picture.graph]] for picture in pictures]
    made = records_of(episodes, seed=seed, per_call=per_call, abstained=abstained)
    for picture in pictures:
        if picture.picture is not None:
            image = np.asarray(Image.open(picture.picture).convert("RGB"))
            path = root / image_path(picture.graph)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, png.encode(image))
    write_records(root, 0, made, seed=seed, verified=[False] * len(made))
    shard = Shard(
        records=len(made),
        seconds={"generating": time.perf_counter() - started},
        abstained=dict(abstained),
        disagreements={},
    )
    write_bytes(shard_path(root, 0), json.dumps(asdict(shard)).encode())
    return shard


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
    path = root / f"images/{raw.episode}/{raw.frame:05d}-{raw.camera}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, png.encode(raw.image))


def write_records(
    root: Path, number: int, made: Sequence[Made], *, seed: int, verified: Sequence[bool]
) -> None:
    """Write a shard's records."""
    masks = Masks()
    rows = [
        row_of(m, id=f"{number:05d}-{k:06d}", seed=seed, verified=ok, masks=masks)
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
