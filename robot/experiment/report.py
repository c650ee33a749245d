"""From evaluated episodes to what a run leaves behind: episodes, tables, figures, videos, page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from robot.experiment.cells import Evaluated
from robot.report.figures import learning_curves, success_figure
from robot.report.html import Exhibit, MaskQuality, Page, write_report
from robot.report.paper import Beside, beside_paper
from robot.report.pictures import (
    episode_rows,
    film_strip,
    fit,
    grid,
    heat,
    overlay,
    picture_uri,
    spread,
    write_on,
)
from robot.report.provenance import gather
from robot.report.spreadsheet import write_cells, write_differences
from robot.report.statistics import (
    ALL_TASKS,
    IMPOSSIBLE,
    Cell,
    Difference,
    EpisodeResult,
    cell_to_json,
    compare,
    summarise,
    write_episodes,
)
from robot.report.table import arms_of
from robot.report.video import film, holding, video_uri, write_video
from robot.rollout.act import Snapshot
from robot.system.command import plain
from robot.train.log import log_results

FAILURES_SHOWN = 4  # per arm and scene
HELD_S = 1.5  # for which a video shows how its episode ended
MOST_FRAMES = 240  # of a video: 24 s at the usual 10 a second, and then about half a megabyte


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a report says besides numbers. `arm` is the one under test; `look_dt_s` the time between
    two looks of a video; `unequal` what the arms did not have alike; `chance` what ignoring the
    sentence is worth; `baselines` are the arms without masks; `logs` the log files of trainings
    by their name.
    """

    title: str
    summary: str
    seeds: str
    arm: str
    config_yaml: str
    look_dt_s: float
    unequal: str = ""
    chance: str = ""
    baselines: Sequence[str] = ()
    headline_scene: str | None = None
    logs: Mapping[str, Path] = field(default_factory=dict)
    stage_s: Mapping[str, float] = field(default_factory=dict)
    trained_s: Mapping[str, float] = field(default_factory=dict)
    made_at: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What was found, in numbers: cells (pooled over several tasks first), paired differences of
    the arm under test to every other, the IVM paper's numbers beside ours, the mask head's quality.
    """

    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    beside: tuple[Beside, ...]
    masks: tuple[MaskQuality, ...]
    page: Path
    unequal: str = ""
    chance: str = ""
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)  # masks, by arm and scene
    videos: Mapping[str, Path] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[Cell, ...]:
        """Return the cells for people at a terminal: the pooled ones where there are some."""
        return tuple(cell for cell in self.cells if cell.task == ALL_TASKS) or self.cells

    def as_json(self) -> dict[str, object]:
        return {
            "cells": [cell_to_json(cell) for cell in self.cells],
            "differences": self.differences,
            "paper": self.beside,
            "masks": self.masks,
            "unequal": self.unequal,
            "chance": self.chance,
        }


def write(
    run: Path, evaluated: Sequence[Evaluated], *, story: Story, masks: Sequence[MaskQuality] = ()
) -> Findings:
    """Write episodes.jsonl, cells.csv, differences.csv, success.svg, videos/ and report.html into
    `run`; return what they say.
    """
    results = [e.result for e in evaluated]
    found = find(results, arm=story.arm, masks=masks, page=run / "report.html")
    filmed = [
        (e, e.outcome.snapshots) for e in evaluated if e.outcome is not None and e.outcome.snapshots
    ]
    write_episodes(run / "episodes.jsonl", results)
    write_cells(run / "cells.csv", found.cells)
    write_differences(run / "differences.csv", found.differences)
    page = page_of(found, evaluated, filmed, story=story, run=run)
    (run / "success.svg").write_text(page.figures[0].svg, encoding="utf-8")
    write_report(found.page, page)
    return replace(
        found,
        unequal=story.unequal,
        chance=story.chance,
        pictures={_key("mask", e): _mask_picture(snapshots[0]) for e, snapshots in filmed},
        videos={_key("video", e): _video_path(e, run=run) for e, _ in filmed},
    )


def find(
    results: Sequence[EpisodeResult], *, arm: str, masks: Sequence[MaskQuality], page: Path
) -> Findings:
    """Return what the episodes say in numbers, with the means over several tasks first."""
    several = len({result.task for result in results}) > 1
    single = summarise(results)
    return Findings(
        cells=(*(summarise(results, pool_tasks=True) if several else ()), *single),
        differences=tuple(compare(results, arm=arm)) if len(arms_of(single)) > 1 else (),
        beside=tuple(beside_paper(single)),
        masks=tuple(masks),
        page=page,
    )


def page_of(
    found: Findings,
    evaluated: Sequence[Evaluated],
    filmed: Sequence[tuple[Evaluated, Sequence[Snapshot]]],
    *,
    story: Story,
    run: Path,
) -> Page:
    """Return what the report shows; the videos in it are written into `run`."""
    figure = success_figure([cell for cell in found.cells if cell.task == found.cells[0].task])
    curves = [learning_curves(story.logs, arms=arms_of(found.cells))] if story.logs else []
    provenance = gather(
        seeds=story.seeds,
        stage_s=story.stage_s,
        trained_s=story.trained_s,
        made_at=story.made_at,
        now=datetime.now(),
    )
    return Page(
        title=story.title,
        summary=story.summary,
        unequal=story.unequal,
        chance=story.chance,
        cells=found.cells,
        figures=[figure, *curves],
        strips=[_strip(e, snapshots, story=story) for e, snapshots in filmed],
        videos=[_video(e, snapshots, run=run, story=story) for e, snapshots in filmed],
        masks=[_mask(e, snapshots[0]) for e, snapshots in filmed if e.result.arm == story.arm],
        config_yaml=story.config_yaml,
        provenance=provenance,
        comparisons=found.differences,
        mask_quality=found.masks,
        arm=story.arm,
        headline_scene=story.headline_scene,
        beside=found.beside,
        baselines=[name for name in story.baselines if name != story.arm],
        failures=_failures(evaluated),
    )


def report_to_wandb(
    findings: Findings, *, run: Path, name: str, mode: str, config: Mapping[str, object]
) -> None:
    """Send success rates, masks and videos of a comparison to Weights & Biases, as `mode` says."""
    rates = {
        f"success/{c.arm}/{c.task}/{c.scene}": c.success_rate
        for c in findings.cells
        if c.success_rate is not None
    }
    ious = {f"mask_iou/{m.scene}": m.mean_iou for m in findings.masks if m.mean_iou is not None}
    log_results(
        run,
        name=name,
        wandb_mode=mode,
        config=plain(config),
        values=rates | ious,
        pictures=findings.pictures,
        videos=findings.videos,
    )


def _key(kind: str, evaluated: Evaluated) -> str:
    result = evaluated.result
    return f"{kind}/{result.arm}/{result.task}/{result.scene}/{result.training_seed}-{result.index}"


def _exhibit(evaluated: Evaluated, uri: str) -> Exhibit:
    result = evaluated.result
    return Exhibit(
        scene=result.scene, uri=uri, caption=result.goal, arm=result.arm, success=result.success
    )


def _rows(snapshots: Sequence[Snapshot]) -> dict[str, list[np.ndarray]]:
    return episode_rows([s.images for s in snapshots], [s.composites for s in snapshots])


def _strip(evaluated: Evaluated, snapshots: Sequence[Snapshot], *, story: Story) -> Exhibit:
    return _exhibit(evaluated, picture_uri(film_strip(_rows(snapshots), dt_s=story.look_dt_s)))


def _video(
    evaluated: Evaluated, snapshots: Sequence[Snapshot], *, run: Path, story: Story
) -> Exhibit:
    """Write the whole episode, also what happened between decisions; one of more than MOST_FRAMES
    in fewer frames, so faster. The time is in the picture.
    """
    path = _video_path(evaluated, run=run)
    path.parent.mkdir(parents=True, exist_ok=True)
    moments = [
        (images, snapshot.composites)
        for snapshot in snapshots
        for images in (snapshot.images, *snapshot.motion)
    ]
    dt_s = story.look_dt_s / max(1 + len(snapshot.motion) for snapshot in snapshots)
    shown = spread(len(moments), count=MOST_FRAMES)
    rows = episode_rows(*zip(*(moments[k] for k in shown), strict=True))
    frames = film(rows, columns=2, times_s=[k * dt_s for k in shown])
    frames = holding(frames, last=round(HELD_S / dt_s))
    fps = 1 / dt_s
    return _exhibit(evaluated, video_uri(write_video(path, frames, fps=fps)))


def _video_path(evaluated: Evaluated, *, run: Path) -> Path:
    result = evaluated.result
    name = f"{result.arm}-{result.task}-{result.scene}-{result.training_seed}-{result.index}"
    return run / "videos" / (re.sub(r"[^\w.-]+", "-", name) + ".mp4")


def _failures(evaluated: Sequence[Evaluated]) -> list[Exhibit]:
    """Show up to FAILURES_SHOWN failed episodes of every arm in every scene where success is
    possible.
    """
    shown: dict[tuple[str, str], list[Exhibit]] = {}
    for one in evaluated:
        if one.outcome is None or one.outcome.failure is None or one.result.scene in IMPOSSIBLE:
            continue
        of_cell = shown.setdefault((one.result.arm, one.result.scene), [])
        if len(of_cell) < FAILURES_SHOWN:
            of_cell.append(_failure(one, *one.outcome.failure))
    return [exhibit for of_cell in shown.values() for exhibit in of_cell]


def _failure(evaluated: Evaluated, first: Snapshot, last: Snapshot) -> Exhibit:
    """Show the first look of a failed episode, its mask, and the end."""
    camera, frame = next(iter(first.images.items()))
    tiles = {
        "first": frame,
        "mask": heat(frame, first.probability[0]),
        "the end": last.images[camera],
    }
    picture = grid([[write_on(fit(image), name) for name, image in tiles.items()]])
    result = evaluated.result
    wrong = ", took another object" if result.wrong_object else ""
    caption = f"{result.goal} (episode {result.index}, {result.steps} steps{wrong})"
    return replace(_exhibit(evaluated, picture_uri(picture)), caption=caption)


def _mask(evaluated: Evaluated, first: Snapshot) -> Exhibit:
    return _exhibit(evaluated, picture_uri(_mask_picture(first)))


def _mask_picture(first: Snapshot) -> np.ndarray:
    frame = next(iter(first.images.values()))
    return overlay(frame, first.probability[0], first.composites[0])
