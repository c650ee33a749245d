"""From evaluated episodes to report.html: cells, comparisons, curves, masks, strips and videos."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from robot.experiment.evaluate import Evaluated
from robot.report.figures import learning_curves, success_figure
from robot.report.html import Exhibit, MaskQuality, write_report
from robot.report.pictures import episode_rows, film_strip, overlay, picture_uri
from robot.report.provenance import gather
from robot.report.statistics import compare, summarise
from robot.report.table import arms_of
from robot.report.video import film, video_uri, write_video


def report(
    directory: Path,
    evaluated: Sequence[Evaluated],
    *,
    title: str,
    summary: str,
    logs: Mapping[str, Path],
    mask_quality: Sequence[MaskQuality],
    config_yaml: str,
    stage_s: Mapping[str, float],
    trained_s: Mapping[str, float] | None = None,
    seeds: str,
    arm: str,
    headline_scene: str | None,
    look_dt_s: float,
) -> Path:
    """Write report.html and the videos it shows into `directory`; return the report's path."""
    results = [e.result for e in evaluated]
    cells = summarise(results)
    several = len({r.task for r in results}) > 1
    pooled = summarise(results, pool_tasks=True) if several else cells
    shown = [e for e in evaluated if e.outcome.snapshots]
    figures = [
        success_figure(pooled),
        *([learning_curves(logs, arms=arms_of(cells))] if logs else []),
    ]
    return write_report(
        directory / "report.html",
        title=title,
        summary=summary,
        cells=(*pooled, *cells) if several else cells,
        figures=figures,
        strips=[_strip(e, look_dt_s=look_dt_s) for e in shown],
        videos=[_video(e, directory=directory / "videos", look_dt_s=look_dt_s) for e in shown],
        masks=[_mask(e) for e in shown if e.result.arm == arm],
        config_yaml=config_yaml,
        provenance=gather(seeds=seeds, stage_s=stage_s, trained_s=trained_s, now=datetime.now()),
        comparisons=compare(results, arm=arm) if len({r.arm for r in results}) > 1 else (),
        mask_quality=mask_quality,
        arm=arm,
        headline_scene=headline_scene,
    )


def _rows(evaluated: Evaluated) -> dict[str, list[np.ndarray]]:
    snapshots = evaluated.outcome.snapshots
    return episode_rows([s.images for s in snapshots], [s.composites for s in snapshots])


def _exhibit(evaluated: Evaluated, uri: str) -> Exhibit:
    result = evaluated.result
    return Exhibit(
        scene=result.scene,
        uri=uri,
        caption=evaluated.outcome.goal,
        arm=result.arm,
        success=result.success,
    )


def _strip(evaluated: Evaluated, *, look_dt_s: float) -> Exhibit:
    return _exhibit(evaluated, picture_uri(film_strip(_rows(evaluated), dt_s=look_dt_s)))


def _video(evaluated: Evaluated, *, directory: Path, look_dt_s: float) -> Exhibit:
    result = evaluated.result
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", f"{result.arm}-{result.task}-{result.scene}-{result.index}")
    path = directory / f"{name}.mp4"
    return _exhibit(
        evaluated,
        video_uri(write_video(path, film(_rows(evaluated), columns=2), fps=1.0 / look_dt_s)),
    )


def _mask(evaluated: Evaluated) -> Exhibit:
    first = evaluated.outcome.snapshots[0]
    frame = next(iter(first.images.values()))
    return _exhibit(
        evaluated, picture_uri(overlay(frame, first.probability[0], first.composites[0]))
    )
