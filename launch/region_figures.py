"""What launch/measure_regions.py does once its options are checked: figures, a table, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from launch.region_measuring import Measuring
from robot.data.scene_looks import SceneLooks
from robot.experiment.region_looks import collect_region_looks
from robot.experiment.region_reading import crop_accuracy, measure_reading
from robot.experiment.region_scenes import read_scenes
from robot.experiment.region_speed import measure_speed
from robot.perception.regions.reader import RegionReader
from robot.system.command import run_folder, write_results
from robot.system.progress import Bars, moving

# figure, where it lies in the results, what it should be
ROWS = (
    ("category, seen", "attributes.seen.names", "97 %"),
    ("category, held out", "attributes.held_out.names", "90 %"),
    ("colour, seen", "attributes.seen.colours", "97 %"),
    ("colour, held out", "attributes.held_out.colours", "90 %"),
    ("material", "attributes.seen.materials", ""),
    ("size", "attributes.seen.sizes", ""),
    ("state", "attributes.seen.states", ""),
    ("part, of parts", "attributes.parts.parts", ""),
    ("relation macro-F1, seen", "relations.seen.macro", ".90"),
    ("relation macro-F1, held out", "relations.held_out.macro", ".80"),
    ("caption S-IoU, held out", "sentences.held_out.caption_s_iou", ".70"),
    ("caption SS, held out", "sentences.held_out.caption_ss", ".80"),
    ("label S-IoU, held out", "sentences.held_out.label_s_iou", ".70"),
    ("label SS, held out", "sentences.held_out.label_ss", ".80"),
    ("yes/no, random", "yes_no.random.accuracy", "95 %"),
    ("yes/no, popular", "yes_no.popular.accuracy", "92 %"),
    ("yes/no, adversarial", "yes_no.adversarial.accuracy", "88 %"),
    ("yes-rate, random", "yes_no.random.yes_rate", "45-55 %"),
    ("yes-rate, popular", "yes_no.popular.yes_rate", "45-55 %"),
    ("yes-rate, adversarial", "yes_no.adversarial.yes_rate", "45-55 %"),
    ("box -> mask mIoU", "box_to_mask.miou", ".85"),
    ("filled box mIoU", "box_to_mask.filled_box_miou", ""),
    ("click -> mask mIoU", "everything.click_miou", ""),
    ("everything: recall@.5, objects", "everything.recall_object", ".90"),
    ("everything: recall@.5, parts", "everything.recall_part", ".70"),
    ("everything: recall@.5, scene", "everything.recall_scene", ""),
    ("everything: AR@50", "everything.ar_50", ".55"),
)
BASELINES = {  # of rows that lie in `attributes` and the like
    "majority": "majority class",
    "crop": "crop only",
    "shuffled": "shuffled masks",
    "single_level": "single level",
}


def measure_regions(asked: Measuring, *, config_yaml: str) -> None:
    """Measure every reader; results.json is the last line on stdout."""
    with run_folder("measure-regions", config_yaml=config_yaml) as run:
        with Bars() as progress:
            looks = _first(
                collect_region_looks(
                    asked.region_looks,
                    root=asked.data_root / "region_looks",
                    workers=asked.workers,
                    progress=moving(progress, "collect looks"),
                ),
                asked.looks,
            )

            def measured(names: Sequence[str], what: str) -> list[Mapping[str, Any]]:
                return [
                    measure_reading(
                        RegionReader.load(name),
                        looks,
                        seed=asked.seed,
                        progress=moving(progress, f"{what} {name}"),
                    )
                    for name in names
                ]

            readers = measured(asked.readers, "measure")
            single = measured(asked.single_level or (), "measure single level")
            crops = [
                {"attributes": crop_accuracy(RegionReader.load(name), scenes)}
                for name in asked.crop or ()
                for scenes in [read_scenes(RegionReader.load(asked.readers[0]), looks)]
            ]
        speed = measure_speed(RegionReader.load(asked.readers[0]))
        columns = {
            "reader": readers,
            "majority": [{"attributes": r["majority"]} for r in readers],
            "shuffled": [r["shuffled"] for r in readers],
            "crop": crops,
            "single_level": single,
        }
        Console().print(table_of(columns))
        Console().print(f"32 regions in one pass: {speed['together_ms']:.1f} ms, one by one: ")
        Console().print(
            f"{speed['one_by_one_ms']:.1f} ms; largest difference {speed['difference']}"
        )
        results = {
            "readers": dict(zip(asked.readers, readers, strict=True)),
            "single_level": dict(zip(asked.single_level or (), single, strict=True)),
            "crop": dict(zip(asked.crop or (), crops, strict=True)),
            "speed": speed,
            "looks": len(looks),
        }
        write_results(run, results)


def table_of(columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Return the figures for people: the mean over readers, lowest and highest where several."""
    shown = Table("figure", "target", "reader", *BASELINES.values(), title="Reading regions")
    for name, path, target in ROWS:
        cells = [_cell(columns[column], path) for column in ("reader", *BASELINES)]
        shown.add_row(name, target, *cells)
    return shown


def _cell(results: Sequence[Mapping[str, Any]], path: str) -> str:
    values = [value for result in results if (value := _at(result, path)) is not None]
    if not values:
        return ""
    spread = f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _at(result: Mapping[str, Any], path: str) -> float | None:
    step: Callable[[Any, str], Any] = lambda of, name: None if of is None else of.get(name)  # noqa: E731
    return reduce(step, path.split("."), result)


def _first(looks: SceneLooks, count: int | None) -> SceneLooks:
    """Return the first looks, in memory as the rest."""
    return (
        looks
        if count is None
        else replace(
            looks,
            **{
                name: getattr(looks, name)[:count]
                for name in ("images", "instances", "parts", "objects", "scenes", "moments")
            },
            sequences=looks.sequences[:count],
            steps=looks.steps[:count],
        )
    )
