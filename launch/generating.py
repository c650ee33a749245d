"""What launch/generate.py does: a data set of records, its summary, and a page to look at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from launch.correcting import ClaimOptions, check_claims, correct
from launch.sources import SourceName, check_source, given_work
from launch.staging import check_asked, staged
from robot.data.atomic import write_bytes
from robot.data.parquet import read_table
from robot.envs.make import ImageSize
from robot.instruct.build import build_graph
from robot.instruct.registry import MULTI_FRAME, SINGLE_FRAME
from robot.rollout.draw_records import draw_graph, draw_record, page_of
from robot.rollout.generate import (
    Engine,
    Moments,
    Shard,
    make_shards,
    missing_shards,
    shard_path,
)
from robot.rollout.ray_map import check_ray, ray_map
from robot.system.command import plain, require_writable, run_folder, write_results
from robot.system.parallel import parallel_map
from robot.system.parse import Count, NotNegative, Seed, options, parse
from robot.system.progress import bar
from robot.types import InputError

if TYPE_CHECKING:  # imports scipy.stats
    from robot.rollout.record_summary import DataSetSummary

ENGINE = "engine.json"  # in a data set's folder: what it is made of
SAMPLES = 24  # on the page
RECORDS, PER_GENERATOR, FAMILIES = 100_000, 500, 3  # what benchmark=verify has to reach


@options
class Generating:
    """configs/generate.yaml."""

    simulated: list[str]
    source: SourceName
    path: Path | None
    root: Path
    shards: Count
    episodes: Count
    looks: Count
    per_call: Count
    image_size: ImageSize
    seed: Seed
    verify: bool
    moments: Moments
    generators: list[str]
    workers: Count
    ray: bool
    formats: list[Literal["llava", "coco", "lerobot"]]
    view: NotNegative | None
    benchmark: Literal["verify", "correct"] | None
    claims: ClaimOptions


def generating(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    asked = parse(Generating, OmegaConf.to_container(config, resolve=True))
    engine = Engine(
        tasks=tuple(staged(text) for text in asked.simulated),
        episodes=asked.episodes,
        looks=asked.looks,
        per_call=asked.per_call,
        image_size=asked.image_size,
        seed=asked.seed,
        verify=asked.verify,
        moments=asked.moments,
        generators=tuple(asked.generators),
    )
    check_asked(engine)
    yaml = OmegaConf.to_yaml(config, resolve=True)
    if asked.benchmark == "correct":
        check_claims(asked.claims)
        return partial(correct, asked.claims, image_size=asked.image_size, config_yaml=yaml)
    if asked.ray:
        check_ray()
    check_source(asked.source, asked.path, asked.claims)
    require_writable(asked.root)
    check_same(asked.root, made_of(asked, engine))
    if asked.view is not None:
        return partial(view, engine, asked.view, config_yaml=yaml)
    return partial(generate, asked, engine, config_yaml=yaml)


def made_of(asked: Generating, engine: Engine) -> dict[str, Any]:
    """Return all that a data set depends on; options that are new, only where they say other than
    was usual before: what was made then is continued.
    """
    given = {"source": asked.source, "path": plain(asked.path)}
    if asked.source != "simulators":
        given["shards"] = asked.shards  # a shard is every so-many-th of them
    usual = {"moments": "expert", "generators": []}
    made = {**plain(asdict(engine)), **given}
    return {name: value for name, value in made.items() if usual.get(name, ...) != value}


def check_same(root: Path, made: dict[str, Any]) -> None:
    """Raise InputError where the folder holds a data set that is made of something else."""
    path = root / ENGINE
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != made:
        raise InputError(
            f"got root={root}, which holds a data set of other options ({path}), expected a new "
            "folder or the same options; pass root=<another one>"
        )


def generate(asked: Generating, engine: Engine, *, config_yaml: str) -> None:
    """Make what is missing; results.json is the last line on stdout."""
    from robot.rollout.export_records import EXPORTERS  # scipy.stats: a second
    from robot.rollout.record_summary import summarise

    with run_folder("generate", config_yaml=config_yaml) as run:
        asked.root.mkdir(parents=True, exist_ok=True)
        write_bytes(asked.root / ENGINE, json.dumps(made_of(asked, engine)).encode())
        todo, made = missing_shards(asked.root, asked.shards), 0
        with bar("shards") as moved:
            for _, shard in _shards(asked, engine, todo):
                made += 1
                moved(made, len(todo))
                _complain(shard)
        summary = summarise(asked.root)
        _print(summary)
        page = _sample_page(asked.root, run / "samples.png", seed=asked.seed)
        exported = [EXPORTERS[name](asked.root) for name in asked.formats]
        for path in (*([page] if page else ()), *exported):
            print(path)
        results = _results(summary, asked) | {"samples": page, "exported": exported}
        write_results(run, results)
    if asked.benchmark == "verify" and (missed := _missed(results)):
        raise SystemExit("benchmark=verify: " + "; ".join(missed))


def _shards(asked: Generating, engine: Engine, todo: Sequence[int]) -> Iterator[tuple[int, Shard]]:
    make = _maker(asked, engine)
    if asked.ray:
        return ray_map(make, todo, workers=asked.workers)
    return parallel_map(make, todo, workers=asked.workers)


def _maker(asked: Generating, engine: Engine) -> Callable[[], Callable[[int], Shard]]:
    """Return what makes a process's work."""
    if asked.path is None:
        return partial(make_shards, engine, root=asked.root.resolve())
    return given_work(
        asked.source,
        asked.path,
        root=asked.root,
        shards=asked.shards,
        seed=asked.seed,
        per_call=asked.per_call,
        looks=asked.looks,
        claims=asked.claims,
    )


def _complain(shard: Shard) -> None:
    for text, count in shard.disagreements.items():
        print(f"verifier, {count} records: {text}")


def _results(summary: DataSetSummary, asked: Generating) -> dict[str, Any]:
    """Return the summary for results.json."""
    seconds: Counter[str] = Counter()
    for number in range(asked.shards):
        seconds.update(json.loads(shard_path(asked.root, number).read_text())["seconds"])
    of = {
        name: {
            "records": g.records,
            "agreed": g.agreed,
            "multiple_choice": g.choices,
            "abstained": g.abstained,
            "families": sorted(g.families),
            "top_answer_share": g.top_share,
        }
        for name, g in summary.generators.items()
    }
    return {
        "records": summary.records,
        "agreed": summary.agreed,
        "agreement": summary.agreed / max(1, summary.records),
        "families": summary.families,
        "fewest_records_of_a_generator": min(
            (summary.generators[n].records if n in summary.generators else 0)
            for n in (*SINGLE_FRAME, *MULTI_FRAME)
        ),
        "wordings": summary.wordings,
        "duplicates": summary.duplicates,
        "unfilled": summary.unfilled,
        "option_position_p": summary.position_p,
        "blind_accuracy": summary.blind.correct,
        "blind_chance": summary.blind.chance,
        "blind_above_chance_points": summary.blind.above_chance_points,
        "multiple_choice": summary.blind.questions,
        "disagreements": summary.disagreements,
        "seconds": dict(seconds),
        "generators": of,
    }


def _missed(results: dict[str, Any]) -> list[str]:
    """Return which targets of benchmark=verify a data set misses."""
    targets = {
        f"{RECORDS} records": results["records"] >= RECORDS,
        f"{PER_GENERATOR} of every generator": results["fewest_records_of_a_generator"]
        >= PER_GENERATOR,
        f"{FAMILIES} task families": len(results["families"]) >= FAMILIES,
        "every record agreed on": results["agreed"] == results["records"],
        "no duplicate and no unfilled slot": not results["duplicates"] + results["unfilled"],
        "2,000 wordings": results["wordings"] >= 2000,
        "uniform option places": (results["option_position_p"] or 0) > 0.01,
        "blind within 5 points of chance": results["blind_above_chance_points"] <= 5,
    }
    return [f"missed: {name}" for name, met in targets.items() if not met]


def _print(summary: DataSetSummary) -> None:
    table = Table(title=f"{summary.records} records of {', '.join(summary.families)}")
    headings = ("generator", "records", "agreed", "choices", "abstained", "top answer", "families")
    for heading in headings:
        left = heading == "generator"
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    for name, g in summary.generators.items():
        numbers = (g.records, g.agreed, g.choices, g.abstained)
        table.add_row(name, *map(str, numbers), f"{g.top_share:.2f}", str(len(g.families)))
    Console().print(table)
    p = summary.position_p
    print(
        f"{summary.agreed} of {summary.records} agree with the verifier; {summary.wordings} "
        f"wordings; {summary.duplicates} duplicates; option places p = "
        f"{'–' if p is None else f'{p:.3f}'}; blind {summary.blind.correct:.3f} where chance is "
        f"{summary.blind.chance:.3f} ({summary.blind.questions} questions)"
    )


def _sample_page(root: Path, path: Path, *, seed: int) -> Path | None:
    """Draw a page of records of different generators; None where annotations had no pictures."""
    from robot.rollout.record_summary import record_paths

    every = read_table(record_paths(root)[0]).to_pylist()
    rows = [row for row in every if all((root / place).is_file() for place in row["images"])]
    if not rows:
        return None
    rng = np.random.default_rng(seed)
    names = sorted({row["generator"] for row in rows})
    chosen = [names[k] for k in rng.permutation(len(names))[:SAMPLES]]
    pictures = []
    for name in chosen:
        mine = [row for row in rows if row["generator"] == name]
        pictures.append(draw_record(mine[int(rng.integers(len(mine)))], root))
    pictures.sort(key=lambda p: p.width)
    page_of(pictures, columns=4).save(path)
    return path


def view(engine: Engine, number: int, *, config_yaml: str) -> None:
    """Draw the graphs of the first look of episode `number` of the first task."""
    from robot.envs.make import EnvOptions, make_env
    from robot.rollout.episode_looks import episode_looks

    task = engine.tasks[0]
    env = make_env(task.task, EnvOptions(backend=task.backend, image_size=engine.image_size))
    where = {"seed": engine.seed, "index": number, "scene": task.scene, "backend": task.backend}
    looks = episode_looks(env, looks=1, **where)  # type: ignore[arg-type]
    with run_folder("generate-view", config_yaml=config_yaml) as run:
        paths = []
        for raw in looks[0]:
            assert raw.image is not None
            paths.append(run / f"{raw.camera}.png")
            draw_graph(build_graph(raw), raw.image).save(paths[-1])
            print(paths[-1])
        write_results(run, {"pictures": paths})
    env.close()
